// One-way, Laplace response: complete pooling.
functions {
#include priors.stanfunctions
}
data {
  int<lower=1> N;                        // rows
  int<lower=1> J;                        // groups
  array[N] int<lower=1, upper=J> jj;     // group of each row
  vector[N] y;                           // response
  int<lower=0> mu_prior;
  vector[3] mu_hyper;
  int<lower=0> b_prior;
  vector[3] b_hyper;
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
}
parameters {
  real mu;                               // population median
  vector<lower=0, upper=scale_upper(b_prior, b_hyper)>[1] b;
}
model {
  [mu]' ~ location(mu_prior, mu_hyper);
  b ~ scale(b_prior, b_hyper);
  if (prior_only == 0) {
    y ~ double_exponential(mu, b[1]);
  }
}
generated quantities {
  vector[2] lprior;
  lprior[1] = location_lpdf([mu]' | mu_prior, mu_hyper);
  lprior[2] = scale_lpdf(b | b_prior, b_hyper);
}
