// The log density of a Stan program and its gradient, at points that are read from standard input:
//
//     log_density PROGRAM DATA.json <points
//
// The points are unconstrained parameters. The first line out is their dimension; then comes a line
// for each: the log density with every constant and with the Jacobian of the constraints, and its
// gradient, to all digits. One source for every release: what the release has moved is named here,
// and programs.hpp is written by .ci/stan-releases from what that release's stanc made.
#include <stan/model/model_header.hpp>
#if __has_include(<stan/io/json/json_data.hpp>)
#include <stan/io/json/json_data.hpp>
using stan::json::json_data;
#else
#include <cmdstan/io/json/json_data.hpp>
using cmdstan::json::json_data;
#endif
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>

template <typename Model>
int evaluate(const char* file) {
  std::ifstream stream(file);
  json_data data(stream);
  Model model(data, 1, &std::cerr);
  const Eigen::Index D = model.num_params_r();
  std::printf("%d\n", static_cast<int>(D));
  Eigen::VectorXd x(D);
  while (true) {
    for (Eigen::Index d = 0; d < D; ++d) {
      if (!(std::cin >> x[d])) return d == 0 ? 0 : 1;
    }
    stan::math::nested_rev_autodiff nested;
    Eigen::Matrix<stan::math::var, Eigen::Dynamic, 1> u(x);
    stan::math::var log_density = model.log_prob_jacobian(u, &std::cerr);
    log_density.grad();
    std::printf("%.17g", log_density.val());
    for (Eigen::Index d = 0; d < D; ++d) std::printf(" %.17g", u[d].adj());
    std::printf("\n");
  }
}

#include "programs.hpp"

int main(int argc, char** argv) {
  const std::string program = argc == 3 ? argv[1] : "";
#define PROGRAM(name) \
  if (program == #name) return evaluate<name>(argv[2]);
  PROGRAMS
  std::cerr << "usage: log_density PROGRAM DATA.json <points\n";
  return 2;
}
