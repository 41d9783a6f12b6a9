// Eight schools (any meta-analysis): partial pooling, theta integrated out.
//
//   y_j ~ N(mu, sqrt(sigma_j^2 + tau^2))
//
// y and sigma are estimates and their known standard errors. Given mu and tau,
//   theta_j ~ N(B_j mu + (1 - B_j) y_j, sqrt(1 - B_j) sigma_j)
// with the pooling factor B_j = sigma_j^2 / (sigma_j^2 + tau^2).
// Gelman et al., Bayesian Data Analysis, 3rd ed., section 5.4.
functions {
#include priors.stanfunctions
#include marginal.stanfunctions
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
  vector[2] centre;                      // of mu and log tau
  matrix[2, 2] root;                     // and the root of their covariance
}
transformed data {
  vector[1] tau_upper = [scale_upper(tau_prior, tau_hyper)]';  // upper end
}
parameters {
  vector[2] q;                           // standardized hyperparameters
}
transformed parameters {
  vector[2] u = centre + root * q;       // the same, unconstrained
  real mu = u[1];                        // population mean
  real tau = scale_constrain(segment(u, 2, 1), tau_upper)[1];  // sd
}
model {
  [mu]' ~ location(mu_prior, mu_hyper);  // prior
  [tau]' ~ scale(tau_prior, tau_hyper);  // prior
  target += scale_log_abs_det(segment(u, 2, 1), tau_upper);
  if (prior_only == 0) {
    y ~ normal(mu, sqrt(square(sigma) + square(tau)));  // theta integrated out
  }
}
generated quantities {
  vector[2] lprior;                      // log prior of mu, tau
  lprior[1] = location_lpdf([mu]' | mu_prior, mu_hyper);
  lprior[2] = scale_lpdf([tau]' | tau_prior, tau_hyper);
}
