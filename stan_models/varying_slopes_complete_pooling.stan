// One regression for all groups: complete pooling.
//
//   y_i ~ N(x_i beta + z_i mu, sigma)
//
// z_i holds the K varying columns of row i, x_i the P common ones;
// The residual sd is common (S = 1), or each group has its own (S = J).
// Gelman and Hill, Data Analysis Using Regression and Multilevel/Hierarchical
// Models (2007), sections 13.1 and 13.3.
functions {
#include priors.stanfunctions
#include rows.stanfunctions
}
data {
  int<lower=1> N;                        // observations (rows)
  int<lower=1> J;                        // groups
  int<lower=1> K;                        // varying coefficients
  int<lower=0> P;                        // common coefficients
  array[N] int<lower=1, upper=J> jj;     // group of each row
  matrix[N, K] z;                        // varying columns
  matrix[N, P] x;                        // common columns
  vector[N] y;                           // response
  int<lower=1, upper=J> S;               // residual sds: 1 (common) or J
  array[K] int<lower=0> mu_prior;        // prior of mu: families
  array[K] vector[3] mu_hyper;           //   and their numbers
  array[P] int<lower=0> beta_prior;      // prior of beta: families
  array[P] vector[3] beta_hyper;         //   and their numbers
  int<lower=0> sigma_prior;              // prior of sigma: family
  vector[3] sigma_hyper;                 //   and its numbers
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
}
parameters {
  vector[K] mu;                          // coefficients of z
  vector[P] beta;                        // coefficients of x
  // residual sds
  vector<lower=0, upper=scale_upper(sigma_prior, sigma_hyper)>[S] sigma;
}
model {
  for (k in 1:K) {
    [mu[k]]' ~ location(mu_prior[k], mu_hyper[k]);  // prior
  }
  for (k in 1:P) {
    [beta[k]]' ~ location(beta_prior[k], beta_hyper[k]);  // prior
  }
  sigma ~ scale(sigma_prior, sigma_hyper);  // prior
  if (prior_only == 0) {
    y ~ rows_normal(x * beta + z * mu, sigma, jj);  // observation
  }
}
generated quantities {
  vector[3] lprior = rep_vector(0, 3);   // log prior of mu, beta, sigma
  for (k in 1:K) {
    lprior[1] += location_lpdf([mu[k]]' | mu_prior[k], mu_hyper[k]);
  }
  for (k in 1:P) {
    lprior[2] += location_lpdf([beta[k]]' | beta_prior[k], beta_hyper[k]);
  }
  lprior[3] = scale_lpdf(sigma | sigma_prior, sigma_hyper);
}
