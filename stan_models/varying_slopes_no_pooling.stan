// A regression for each group: no pooling.
//
//   y_i ~ N(x_i beta_{j[i]} + z_i theta_{j[i]}, sigma)
//   each theta_j and beta_j by itself
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
  array[K] int<lower=0> theta_prior;     // prior of theta: families
  array[K] vector[3] theta_hyper;        //   and their numbers
  array[P] int<lower=0> beta_prior;      // prior of beta: families
  array[P] vector[3] beta_hyper;         //   and their numbers
  int<lower=0> sigma_prior;              // prior of sigma: family
  vector[3] sigma_hyper;                 //   and its numbers
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
}
parameters {
  array[J] vector[K] theta;              // coefficients of z by group
  array[J] vector[P] beta;               // coefficients of x by group
  // residual sds
  vector<lower=0, upper=scale_upper(sigma_prior, sigma_hyper)>[S] sigma;
}
model {
  for (k in 1:K) {
    // prior
    to_vector(theta[ : , k]) ~ location(theta_prior[k], theta_hyper[k]);
  }
  for (k in 1:P) {
    // prior
    to_vector(beta[ : , k]) ~ location(beta_prior[k], beta_hyper[k]);
  }
  sigma ~ scale(sigma_prior, sigma_hyper);  // prior
  if (prior_only == 0) {
    // observation
    y ~ rows_normal(lines(x, beta, jj) + lines(z, theta, jj), sigma, jj);
  }
}
generated quantities {
  vector[3] lprior = rep_vector(0, 3);   // log prior of theta, beta, sigma
  for (k in 1:K) {
    lprior[1] += location_lpdf(to_vector(theta[ : , k])
                             | theta_prior[k], theta_hyper[k]);
  }
  for (k in 1:P) {
    lprior[2] += location_lpdf(to_vector(beta[ : , k])
                             | beta_prior[k], beta_hyper[k]);
  }
  lprior[3] = scale_lpdf(sigma | sigma_prior, sigma_hyper);
}
