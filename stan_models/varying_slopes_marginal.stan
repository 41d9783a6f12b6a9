// Varying intercepts and slopes: partial pooling, theta integrated out.
//
//   y_i ~ N(x_i beta + z_i theta_{j[i]}, sigma)
//   theta_j ~ N_K(mu, Lambda Lambda'),  Lambda = diag(tau) L_Omega
//
// The data are the groups' cross-products of (z, x, y) about their centres.
// With A_j = Z_j'Z_j, residuals r_j = y_j - X_j beta - Z_j mu, b_j = Z_j'r_j,
// c_j = r_j'r_j, M_j = I + Lambda' A_j Lambda / sigma^2 and
// v_j = Lambda' b_j / sigma^2:
//   log p(y_j) = -n_j/2 log(2 pi sigma^2) - 1/2 log|M_j|
//                - 1/2 (c_j / sigma^2 - v_j' M_j^-1 v_j),
// the matrix determinant lemma and the Woodbury identity (Harville 1997, Matrix
// Algebra From a Statistician's Perspective, sections 18.1 and 18.2).
// The residual sd is common (S = 1), or each group has its own (S = J).
functions {
#include priors.stanfunctions
#include marginal.stanfunctions

// -2 log of |M_j|^-1/2 exp(v_j' M_j^-1 v_j / 2), summed over groups: LDL' of
// all M_j at once, column by column, each entry a vector over the groups.
real effects_deviance(data matrix A, data matrix B, int K, matrix Lambda,
                      vector g, int S, vector sigma) {
  real scale = S == 1 ? inv_square(sigma[1]) : 1;
  vector[S] w = inv_square(sigma);
  array[K, K] vector[rows(A)] M;
  array[K] vector[rows(A)] v;
  real deviance = 0;
  for (k in 1:K) {
    v[k] = B * to_vector(g * (Lambda[ : , k]' * scale));
    for (m in 1:k) {
      // Lambda' A Lambda from the lower triangle of A
      matrix[K, K] pairs = Lambda[ : , k] * (Lambda[ : , m]' * scale);
      vector[cols(A)] triangle;
      int place = 1;
      for (a in 1:K) {
        for (b in 1:a) {
          triangle[place] = a == b ? pairs[a, a] : pairs[a, b] + pairs[b, a];
          place += 1;
        }
      }
      M[k, m] = A * triangle;
      if (S > 1) {
        M[k, m] = M[k, m] .* w;
      }
    }
    M[k, k] += 1;
    if (S > 1) {
      v[k] = v[k] .* w;
    }
  }
  for (k in 1:K) {
    for (i in (k + 1):K) {
      vector[rows(A)] l = M[i, k] ./ M[k, k];
      for (m in (k + 1):i) {
        M[i, m] -= l .* M[m, k];
      }
      v[i] -= l .* v[k];
    }
    deviance += sum(log(M[k, k])) - sum(square(v[k]) ./ M[k, k]);
  }
  return deviance;
}
}
data {
  int<lower=1> J;                        // groups
  int<lower=1> K;                        // varying coefficients
  int<lower=0> P;                        // common coefficients
  int<lower=1, upper=J> S;               // residual sds: 1 (common) or J
  matrix[J, (K * (K + 1)) %/% 2] A;      // z'z: its lower triangles, by rows
  matrix[J, K * (K + P + 1)] B;          // z_1'(z, x, y), z_2'(z, x, y), ...
  matrix[S, (K + P + 1) * (K + P + 1)] C;  // (z, x, y)'(z, x, y), S = 1 or J
  vector<lower=1>[S] n;                  // rows, all or by group
  vector[K + P] raw_shift;               // raw coefficients = shift
  matrix[K + P, K + P] raw_back;         //   + back * centred coefficients
  matrix[K, K] forward;                  // centred effects = forward * raw ones
  array[K] int<lower=0> mu_prior;        // prior of mu: families
  array[K] vector[3] mu_hyper;           //   and their numbers
  array[K] int<lower=0> tau_prior;       // prior of tau: families
  array[K] vector[3] tau_hyper;          //   and their numbers
  real<lower=0> Omega_eta;               // prior of Omega: LKJ(Omega_eta)
  array[P] int<lower=0> beta_prior;      // prior of beta: families
  array[P] vector[3] beta_hyper;         //   and their numbers
  int<lower=0> sigma_prior;              // prior of sigma: family
  vector[3] sigma_hyper;                 //   and its numbers
  int<lower=0, upper=1> prior_only;      // 1 leaves the data out
  int<lower=2> H;                        // mu, log tau, Omega, beta (log sigma)
  vector[H] centre;                      // of these, unconstrained
  matrix[H, H] root;                     // and the root of their covariance
  vector[S == 1 ? 0 : S] sigma_centre;   // of log sigma by group
  vector<lower=0>[S == 1 ? 0 : S] sigma_root;  // and its sd
}
transformed data {
  int R = (K * (K - 1)) %/% 2;           // correlations
  vector[K] tau_upper;                   // upper ends of the taus
  vector[S] sigma_upper = rep_vector(scale_upper(sigma_prior, sigma_hyper), S);
  for (k in 1:K) {
    tau_upper[k] = scale_upper(tau_prior[k], tau_hyper[k]);
  }
}
parameters {
  vector[H] q;                           // standardized hyperparameters
  vector[S == 1 ? 0 : S] q_sigma;        // standardized log sigma by group
}
transformed parameters {
  vector[H] u = centre + root * q;       // the same, unconstrained
  vector[S] u_sigma;
  // coefficients of the centred columns, and of the raw ones
  vector[K + P] centred = append_row(head(u, K),
                                     tail(head(u, 2 * K + R + P), P));
  vector[K + P] raw = raw_shift + raw_back * centred;
  vector[K] mu = head(raw, K);           // population means
  // population sds
  vector[K] tau = scale_constrain(segment(u, K + 1, K), tau_upper);
  // Cholesky factor of Omega
  matrix[K, K] L_Omega = corr_constrain(tail(head(u, 2 * K + R), R), K);
  vector[P] beta = tail(raw, P);         // common coefficients
  vector[S] sigma;                       // residual sds
  if (S == 1) {
    u_sigma = segment(u, H, 1);
  } else {
    u_sigma = sigma_centre + sigma_root .* q_sigma;
  }
  sigma = scale_constrain(u_sigma, sigma_upper);
}
model {
  for (k in 1:K) {
    [mu[k]]' ~ location(mu_prior[k], mu_hyper[k]);  // prior
    [tau[k]]' ~ scale(tau_prior[k], tau_hyper[k]);  // prior
  }
  L_Omega ~ lkj_corr_cholesky(Omega_eta);  // prior
  for (k in 1:P) {
    [beta[k]]' ~ location(beta_prior[k], beta_hyper[k]);  // prior
  }
  sigma ~ scale(sigma_prior, sigma_hyper);  // prior
  target += scale_log_abs_det(segment(u, K + 1, K), tau_upper);
  target += corr_log_abs_det(tail(head(u, 2 * K + R), R), K);
  target += scale_log_abs_det(u_sigma, sigma_upper);
  if (prior_only == 0) {
    matrix[K, K] Lambda = forward * diag_pre_multiply(tau, L_Omega);
    // r = (z, x, y) g
    vector[K + P + 1] g = append_row(-centred, 1);
    target += -0.5 * (sum(n) * log(2 * pi())
                      + dot_product(C * to_vector(g * g'), inv_square(sigma))
                      + effects_deviance(A, B, K, Lambda, g, S, sigma))
              - dot_product(n, log(sigma));
  }
}
generated quantities {
  // correlations of the varying coefficients
  matrix[K, K] Omega = multiply_lower_tri_self_transpose(L_Omega);
  // log prior of mu, tau, Omega (its Cholesky factor), beta, sigma
  vector[5] lprior = rep_vector(0, 5);
  for (k in 1:K) {
    lprior[1] += location_lpdf([mu[k]]' | mu_prior[k], mu_hyper[k]);
    lprior[2] += scale_lpdf([tau[k]]' | tau_prior[k], tau_hyper[k]);
  }
  lprior[3] = lkj_corr_cholesky_lpdf(L_Omega | Omega_eta);
  for (k in 1:P) {
    lprior[4] += location_lpdf([beta[k]]' | beta_prior[k], beta_hyper[k]);
  }
  lprior[5] = scale_lpdf(sigma | sigma_prior, sigma_hyper);
}
