// One-way random effects: partial pooling, centered.
//
//   y_i ~ N(theta_{j[i]}, sigma)
//   theta_j ~ N(mu, tau)
//
// The residual sd is common (S = 1), or each group has its own (S = J).
// Gelman et al., Bayesian Data Analysis, 3rd ed., section 11.6.
functions {
#include priors.stanfunctions
#include rows.stanfunctions
}
data {
  int<lower=1> N;                        // observations (rows)
  int<lower=1> J;                        // groups
  array[N] int<lower=1, upper=J> jj;     // group of each row
  vector[N] y;                           // response
  int<lower=1, upper=J> S;               // residual sds: 1 (common) or J
  int<lower=0> mu_prior;                 // prior of mu: family
  vector[3] mu_hyper;                    //   and its numbers
  int<lower=0> tau_prior;                // prior of tau: family
  vector[3] tau_hyper;                   //   and its numbers
  int<lower=0> sigma_prior;              // prior of sigma: family
  vector[3] sigma_hyper;                 //   and its numbers
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
}
parameters {
  real mu;                               // population mean
  // population sd
  real<lower=0, upper=scale_upper(tau_prior, tau_hyper)> tau;
  // residual sds
  vector<lower=0, upper=scale_upper(sigma_prior, sigma_hyper)>[S] sigma;
  vector[J] theta;                       // group means
}
model {
  [mu]' ~ location(mu_prior, mu_hyper);  // prior
  [tau]' ~ scale(tau_prior, tau_hyper);  // prior
  sigma ~ scale(sigma_prior, sigma_hyper);  // prior
  theta ~ normal(mu, tau);               // population
  if (prior_only == 0) {
    y ~ rows_normal(theta[jj], sigma, jj);  // observation
  }
}
generated quantities {
  vector[3] lprior;                      // log prior of mu, tau, sigma
  lprior[1] = location_lpdf([mu]' | mu_prior, mu_hyper);
  lprior[2] = scale_lpdf([tau]' | tau_prior, tau_hyper);
  lprior[3] = scale_lpdf(sigma | sigma_prior, sigma_hyper);
}
