"""The Gaussian family, and its closed forms: sufficient statistics, marginal likelihood, mode."""
