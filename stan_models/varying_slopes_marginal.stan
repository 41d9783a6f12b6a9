// Varying intercepts and slopes: partial pooling, theta integrated out.
//
//   y_i ~ N(x_i beta + z_i theta_{j[i]}, sigma)
//   theta_j ~ N_K(mu, Lambda Lambda'),  Lambda = diag(tau) L_Omega
//
// An orthogonal map of a group's rows changes nothing, and leaves z in K rows
// W_j = [Z_j, X_j, y_j] alone (the QR decomposition of Z_j; Golub and Van Loan
// 2013, Matrix Computations, 4th ed., section 5.2). With their residuals
// e_j = y_j - X_j beta - Z_j mu, the squares q_j that y - X beta has in the
// other rows, and V_j = I + Z_j Lambda Lambda' Z_j' / sigma^2:
//   log p(y_j) = -n_j/2 log(2 pi sigma^2) - 1/2 log|V_j|
//                - 1/2 (q_j + e_j' V_j^-1 e_j) / sigma^2.
// No term is a difference, however far apart the groups lie.
// The residual sd is common (S = 1), or each group has its own (S = J).
functions {
#include priors.stanfunctions
#include marginal.stanfunctions

// log|V_j| + e_j' V_j^-1 e_j / sigma^2, summed over groups: LDL' of all V_j at
// once, column by column, each entry a vector over the groups.
real effects_deviance(data matrix W, data matrix pairs, int K, matrix Lambda,
                      vector g, int S, vector sigma) {
  int J = rows(W);
  int G = cols(W) %/% K;
  int T = (K * (K + 1)) %/% 2;
  int start = 1;
  vector[S] w = inv_square(sigma);
  // What one sigma divides is divided before there is an entry for each group.
  matrix[K, K] Sigma = tcrossprod(Lambda) * (S == 1 ? w[1] : 1);
  vector[T] triangle;
  array[K, K] vector[J] V;
  array[K] vector[J] e;
  real deviance = 0;
  {
    int place = 1;
    for (a in 1:K) {
      for (b in 1:a) {
        triangle[place] = Sigma[a, b];
        place += 1;
      }
    }
  }
  for (k in 1:K) {
    e[k] = block(W, 1, 1 + (k - 1) * G, J, G) * g;
    for (m in 1:k) {
      V[k, m] = block(pairs, 1, start, J, T) * triangle;
      start += T;
      if (S > 1) {
        V[k, m] = V[k, m] .* w;
      }
    }
    V[k, k] += 1;
  }
  for (k in 1:K) {
    for (i in (k + 1):K) {
      vector[J] l = V[i, k] ./ V[k, k];
      for (m in (k + 1):i) {
        V[i, m] -= l .* V[m, k];
      }
      e[i] -= l .* e[k];
    }
    deviance += sum(log(V[k, k]));
    if (S > 1) {
      deviance += dot_product(square(e[k]) ./ V[k, k], w);
    } else {
      deviance += sum(square(e[k]) ./ V[k, k]) * w[1];
    }
  }
  return deviance;
}
}
data {
  int<lower=1> J;                        // groups
  int<lower=1> K;                        // varying coefficients
  int<lower=0> P;                        // common coefficients
  int<lower=1, upper=J> S;               // residual sds: 1 (common) or J
  matrix[J, K * (K + P + 1)] W;          // the rows with z: (z, x, y), ...
  matrix[S, (P + 1) * (P + 1)] rest;     // (x, y)'(x, y) of the others
  vector[K + P] more;                    // coefficients that went off that y
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
  // z_k[a] z_m[b] + z_k[b] z_m[a], b <= a: Z Sigma Z' is linear in Sigma
  int T = (K * (K + 1)) %/% 2;
  matrix[J, T * T] pairs;
  vector[K] tau_upper;                   // upper ends of the taus
  vector[S] sigma_upper = rep_vector(scale_upper(sigma_prior, sigma_hyper), S);
  for (k in 1:K) {
    tau_upper[k] = scale_upper(tau_prior[k], tau_hyper[k]);
  }
  {
    int place = 1;
    int G = K + P + 1;
    for (k in 1:K) {
      for (m in 1:k) {
        for (a in 1:K) {
          for (b in 1:a) {
            int ka = (k - 1) * G + a;
            int kb = (k - 1) * G + b;
            int ma = (m - 1) * G + a;
            int mb = (m - 1) * G + b;
            pairs[ : , place] = W[ : , ka] .* W[ : , mb];
            if (b < a) {
              pairs[ : , place] += W[ : , kb] .* W[ : , ma];
            }
            place += 1;
          }
        }
      }
    }
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
    // residuals = (z, x, y) g
    vector[K + P + 1] g = append_row(more - centred, 1);
    vector[P + 1] g_rest = tail(g, P + 1);
    target += -0.5 * (sum(n) * log(2 * pi())
                      + dot_product(rest * to_vector(g_rest * g_rest'),
                                    inv_square(sigma))
                      + effects_deviance(W, pairs, K, Lambda, g, S, sigma))
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
