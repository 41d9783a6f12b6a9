// One-way layout: complete pooling.
//
//   y_i ~ N(mu, sigma_{s[i]})
//   one mean for all groups
//
// s[i] is 1 for a common residual sd, j[i] for a residual sd of each group.
// Gelman et al., Bayesian Data Analysis, 3rd ed., section 11.6.
functions {
#include priors.stanfunctions
}
data {
  int<lower=1> N;                        // observations (rows)
  vector[N] y;                           // response
  int<lower=1> S;                        // residual sds: 1 or J
  array[N] int<lower=1, upper=S> ss;     // residual sd of each row
  int<lower=0> mu_prior;                 // prior of mu: family
  vector[3] mu_hyper;                    //   and its numbers
  int<lower=0> sigma_prior;              // prior of sigma: family
  vector[3] sigma_hyper;                 //   and its numbers
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
}
parameters {
  real mu;                               // mean of every group
  // residual sds
  vector<lower=0, upper=scale_upper(sigma_prior, sigma_hyper)>[S] sigma;
}
model {
  [mu]' ~ location(mu_prior, mu_hyper);  // prior
  sigma ~ scale(sigma_prior, sigma_hyper);  // prior
  if (prior_only == 0) {
    y ~ normal(mu, sigma[ss]);           // observation
  }
}
generated quantities {
  vector[2] lprior;                      // log prior of mu, sigma
  lprior[1] = location_lpdf([mu]' | mu_prior, mu_hyper);
  lprior[2] = scale_lpdf(sigma | sigma_prior, sigma_hyper);
}
