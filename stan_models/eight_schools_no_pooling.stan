// Eight schools (any meta-analysis): no pooling.
//
//   y_j ~ N(theta_j, sigma_j)
//   each theta_j by itself
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
  int<lower=0> theta_prior;              // prior of theta: family
  vector[3] theta_hyper;                 //   and its numbers
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
}
parameters {
  vector[J] theta;                       // group effects
}
model {
  theta ~ location(theta_prior, theta_hyper);  // prior
  if (prior_only == 0) {
    y ~ normal(theta, sigma);            // observation
  }
}
generated quantities {
  vector[1] lprior;                      // log prior of theta
  lprior[1] = location_lpdf(theta | theta_prior, theta_hyper);
}
