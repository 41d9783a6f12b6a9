// One-way, Laplace response: no pooling.
functions {
#include priors.stanfunctions
}
data {
  int<lower=1> N;                        // rows
  int<lower=1> J;                        // groups
  array[N] int<lower=1, upper=J> jj;     // group of each row
  vector[N] y;                           // response
  int<lower=0> theta_prior;
  vector[3] theta_hyper;
  int<lower=0> b_prior;
  vector[3] b_hyper;
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
}
parameters {
  vector<lower=0, upper=scale_upper(b_prior, b_hyper)>[1] b;
  vector[J] theta;                       // group medians
}
model {
  theta ~ location(theta_prior, theta_hyper);
  b ~ scale(b_prior, b_hyper);
  if (prior_only == 0) {
    y ~ double_exponential(theta[jj], b[1]);
  }
}
generated quantities {
  vector[2] lprior;
  lprior[1] = location_lpdf(theta | theta_prior, theta_hyper);
  lprior[2] = scale_lpdf(b | b_prior, b_hyper);
}
