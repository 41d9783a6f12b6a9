// One-way random effects: partial pooling, theta integrated out.
//
//   ybar_j ~ N(mu, sqrt(tau^2 + sigma_j^2 / n_j))    means of the groups
//   SSW_j / sigma_j^2 ~ chi^2 on n_j - 1 df          squares within them
//
// The residual sd is common (S = 1), or each group has its own (S = J). With a
// common one, groups of equal size share one variance, so that a class of
// groups stands for each distinct size; else each group is its own class.
// Gelman et al., Bayesian Data Analysis, 3rd ed., section 11.6.
functions {
#include priors.stanfunctions
#include marginal.stanfunctions
}
data {
  int<lower=1> D;                        // classes of groups
  vector<lower=1>[D] n;                  // rows of each group in the class
  vector<lower=1>[D] count;              // groups in the class
  vector[D] ybar;                        // mean of their means, less y_centre
  vector<lower=0>[D] ss_between;         // squares of their means about it
  int<lower=1, upper=D> S;               // residual sds: 1 (common) or J
  vector<lower=0>[S] ss_within;          // squares of rows about group means
  vector<lower=0>[S] df_within;          //   and their degrees of freedom
  real y_centre;                         // what was taken off the response
  int<lower=0> mu_prior;                 // prior of mu: family
  vector[3] mu_hyper;                    //   and its numbers
  int<lower=0> tau_prior;                // prior of tau: family
  vector[3] tau_hyper;                   //   and its numbers
  int<lower=0> sigma_prior;              // prior of sigma: family
  vector[3] sigma_hyper;                 //   and its numbers
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
  int<lower=2> H;                        // 2 (mu, log tau), 3 with log sigma
  vector[H] centre;                      // of these
  matrix[H, H] root;                     // and the root of their covariance
  vector[H == 2 ? S : 0] sigma_centre;   // of log sigma by group
  vector<lower=0>[H == 2 ? S : 0] sigma_root;  // and its sd
}
transformed data {
  vector[1] tau_upper = [scale_upper(tau_prior, tau_hyper)]';  // upper end
  vector[S] sigma_upper = rep_vector(scale_upper(sigma_prior, sigma_hyper), S);
  // what of the density depends on the data alone
  real constant = -0.5 * (sum(count) + sum(df_within)) * log(2 * pi())
                  - 0.5 * dot_product(count, log(n));
}
parameters {
  vector[H] q;                           // standardized hyperparameters
  vector[H == 2 ? S : 0] q_sigma;        // standardized log sigma by group
}
transformed parameters {
  vector[H] u = centre + root * q;       // the same, unconstrained
  vector[S] u_sigma;
  real mu = y_centre + u[1];             // population mean
  real tau = scale_constrain(segment(u, 2, 1), tau_upper)[1];  // sd
  vector[S] sigma;                       // residual sds
  if (H == 2) {
    u_sigma = sigma_centre + sigma_root .* q_sigma;
  } else {
    u_sigma = segment(u, 3, 1);
  }
  sigma = scale_constrain(u_sigma, sigma_upper);
}
model {
  [mu]' ~ location(mu_prior, mu_hyper);  // prior
  [tau]' ~ scale(tau_prior, tau_hyper);  // prior
  sigma ~ scale(sigma_prior, sigma_hyper);  // prior
  target += scale_log_abs_det(segment(u, 2, 1), tau_upper);
  target += scale_log_abs_det(u_sigma, sigma_upper);
  if (prior_only == 0) {
    vector[D] v;                         // variances of the groups' means
    if (S == 1) {
      v = square(tau) + square(sigma[1]) ./ n;
    } else {
      v = square(tau) + square(sigma) ./ n;
    }
    target += constant
              - 0.5 * (dot_product(count, log(v))
                       + sum((ss_between + count .* square(ybar - u[1])) ./ v)
                       + dot_product(ss_within, inv_square(sigma)))
              - dot_product(df_within, log(sigma));
  }
}
generated quantities {
  vector[3] lprior;                      // log prior of mu, tau, sigma
  lprior[1] = location_lpdf([mu]' | mu_prior, mu_hyper);
  lprior[2] = scale_lpdf([tau]' | tau_prior, tau_hyper);
  lprior[3] = scale_lpdf(sigma | sigma_prior, sigma_hyper);
}
