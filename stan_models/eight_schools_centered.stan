// Eight schools (any meta-analysis): partial pooling, centered.
//
//   y_j ~ N(theta_j, sigma_j)
//   theta_j ~ N(mu, tau)
//
// y and sigma are estimates and their known standard errors.
// Rubin (1981); Gelman et al., Bayesian Data Analysis, 3rd ed., section 5.5.
functions {
#include priors.stanfunctions
}
data {
  int<lower=1> J;                        // groups
  vector[J] y;                           // estimate of each group
  vector<lower=0>[J] sigma;              // its known standard error
  int<lower=0> mu_prior;                 // prior of mu: family
  vector[3] mu_hyper;                    //   and its numbers
  int<lower=0> tau_prior;                // prior of tau: family
  vector[3] tau_hyper;                   //   and its numbers
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
}
parameters {
  real mu;                               // population mean
  // population sd
  real<lower=0, upper=scale_upper(tau_prior, tau_hyper)> tau;
  vector[J] theta;                       // group effects
}
model {
  [mu]' ~ location(mu_prior, mu_hyper);  // prior
  [tau]' ~ scale(tau_prior, tau_hyper);  // prior
  theta ~ normal(mu, tau);               // population
  if (prior_only == 0) {
    y ~ normal(theta, sigma);            // observation
  }
}
generated quantities {
  vector[2] lprior;                      // log prior of mu, tau
  lprior[1] = location_lpdf([mu]' | mu_prior, mu_hyper);
  lprior[2] = scale_lpdf([tau]' | tau_prior, tau_hyper);
}
