// Varying intercepts and slopes: partial pooling, centered.
//
//   y_i ~ N(x_i beta + z_i theta_{j[i]}, sigma)
//   theta_j ~ N_K(mu, diag(tau) Omega diag(tau))
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
  array[K] int<lower=0> tau_prior;       // prior of tau: families
  array[K] vector[3] tau_hyper;          //   and their numbers
  real<lower=0> Omega_eta;               // prior of Omega: LKJ(Omega_eta)
  array[P] int<lower=0> beta_prior;      // prior of beta: families
  array[P] vector[3] beta_hyper;         //   and their numbers
  int<lower=0> sigma_prior;              // prior of sigma: family
  vector[3] sigma_hyper;                 //   and its numbers
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
}
transformed data {
  vector[K] tau_upper;                   // upper ends of the taus
  for (k in 1:K) {
    tau_upper[k] = scale_upper(tau_prior[k], tau_hyper[k]);
  }
}
parameters {
  vector[K] mu;                          // population means
  vector<lower=0, upper=tau_upper>[K] tau;  // population sds
  cholesky_factor_corr[K] L_Omega;       // Cholesky factor of Omega
  vector[P] beta;                        // common coefficients
  // residual sds
  vector<lower=0, upper=scale_upper(sigma_prior, sigma_hyper)>[S] sigma;
  array[J] vector[K] theta;              // group coefficients
}
model {
  for (k in 1:K) {
    [mu[k]]' ~ location(mu_prior[k], mu_hyper[k]);  // prior
    [tau[k]]' ~ scale(tau_prior[k], tau_hyper[k]);  // prior
  }
  L_Omega ~ lkj_corr_cholesky(Omega_eta);  // prior
  for (k in 1:P) {
    [beta[k]]' ~ location(beta_prior[k], beta_hyper[k]);  // prior
  }
  sigma ~ scale(sigma_prior, sigma_hyper);  // prior
  // population
  theta ~ multi_normal_cholesky(mu, diag_pre_multiply(tau, L_Omega));
  if (prior_only == 0) {
    y ~ rows_normal(x * beta + lines(z, theta, jj), sigma, jj);  // observation
  }
}
generated quantities {
  // correlations of the varying coefficients
  matrix[K, K] Omega = multiply_lower_tri_self_transpose(L_Omega);
  // log prior of mu, tau, Omega (its Cholesky factor), beta, sigma
  vector[5] lprior = rep_vector(0, 5);
  for (k in 1:K) {
    lprior[1] += location_lpdf([mu[k]]' | mu_prior[k], mu_hyper[k]);
    lprior[2] += scale_lpdf([tau[k]]' | tau_prior[k], tau_hyper[k]);
  }
  lprior[3] = lkj_corr_cholesky_lpdf(L_Omega | Omega_eta);
  for (k in 1:P) {
    lprior[4] += location_lpdf([beta[k]]' | beta_prior[k], beta_hyper[k]);
  }
  lprior[5] = scale_lpdf(sigma | sigma_prior, sigma_hyper);
}
