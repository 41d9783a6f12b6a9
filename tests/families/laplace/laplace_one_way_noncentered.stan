// One-way, Laplace response: partial pooling, noncentered.
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
  int<lower=0> tau_prior;
  vector[3] tau_hyper;
  int<lower=0> b_prior;
  vector[3] b_hyper;
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
}
parameters {
  real mu;                               // population median
  real<lower=0, upper=scale_upper(tau_prior, tau_hyper)> tau;
  vector<lower=0, upper=scale_upper(b_prior, b_hyper)>[1] b;
  vector[J] eta;                         // standardized effects
}
transformed parameters {
  vector[J] theta = mu + tau * eta;
}
model {
  [mu]' ~ location(mu_prior, mu_hyper);
  [tau]' ~ scale(tau_prior, tau_hyper);
  b ~ scale(b_prior, b_hyper);
  eta ~ std_normal();
  if (prior_only == 0) {
    y ~ double_exponential(theta[jj], b[1]);
  }
}
generated quantities {
  vector[3] lprior;
  lprior[1] = location_lpdf([mu]' | mu_prior, mu_hyper);
  lprior[2] = scale_lpdf([tau]' | tau_prior, tau_hyper);
  lprior[3] = scale_lpdf(b | b_prior, b_hyper);
}
