"""Ways from a model to draws: NUTS, exact, importance and Gibbs sampling."""
