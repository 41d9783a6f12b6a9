// Eight schools (any meta-analysis): complete pooling.
//
//   y_j ~ N(mu, sigma_j)
//   one effect for all groups
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
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
}
parameters {
  real mu;                               // effect of every group
}
model {
  [mu]' ~ location(mu_prior, mu_hyper);  // prior
  if (prior_only == 0) {
    y ~ normal(mu, sigma);               // observation
  }
}
generated quantities {
  vector[1] lprior;                      // log prior of mu
  lprior[1] = location_lpdf([mu]' | mu_prior, mu_hyper);
}
