"""What every model does: draw from the posterior and from the prior."""

from __future__ import annotations

import copy
import os
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np

from ..container import inference_data as idatas
from ..engines.nuts import sampling
from ..engines.settings import Settings, checked_seed
from ..errors import DiagnosticWarning, OptionError, option, shown
from ..families.family import refuse_without_marginal
from . import fitting, kept_effects, layout, other_engines, prediction
from .base import Base, one_of
from .inits import starts as inits_of
from .pointwise import add_pointwise

EFFECTS = ("auto", "draws", "summary", "none")
SHORT_WARMUP = 200
"""Warmup of a standardized program (benchmarks/warmup.py shows that it is enough)."""
_USUAL, _CAREFUL = 0.8, 0.95  # target acceptance rates: Stan's, and where a posterior may narrow
# Efficiency of the Laplace approximation from which on Stan's will do: of 60 data sets of three
# groups 46 had divergent iterations at 0.8, all of them below 0.61.
_EASY = 0.65


class Model(Base):
    """A hierarchical model that can be fitted; the three classes derive from it."""

    def fit(
        self,
        *,
        chains: int = 4,
        draws: int = 1000,
        warmup: int | None = None,
        seed: int | None = None,
        adapt_delta: float | None = None,
        max_treedepth: int = 10,
        metric: str | None = None,
        inits: Any = None,
        parallel_chains: int | None = None,
        threads: int = 1,
        progress: bool | None = None,
        executor: Executor | None = None,
        output_dir: str | os.PathLike[str] | None = None,
        save_warmup: bool = False,
        include: Sequence[str] = (),
        pointwise: bool | str = "auto",
        effects: str = "auto",
        allow_failed_chains: bool = False,
        engine: str = "nuts",
    ) -> Any:
        """Draw from the posterior.

        Parameters
        ----------
        chains, draws : int
            Number of chains, and draws kept of each.
        warmup : int, optional
            Iterations before them. By default 1000; 200 for a marginal program whose posterior is
            near normal once it is standardized: its metric is known before it begins, and only the
            step size is left to learn.
        seed : int, optional
            Makes the fit reproducible; drawn and recorded in the attributes where not given.
        adapt_delta : float, optional
            Target acceptance rate, between 0 and 1. By default Stan's 0.8 where the posterior is
            all but normal once it is standardized, and 0.95 elsewhere, because the posterior of a
            hierarchical model narrows towards tau = 0. Raise it against divergences.
        max_treedepth : int
            A trajectory has at most ``2**max_treedepth - 1`` leapfrog steps.
        metric : {"diag", "dense", "unit"}, optional
            Shape of the inverse mass matrix. By default "unit" where the warmup is short for the
            reason above (the standardization is a dense metric of its own), else "diag".
        inits : float, dict, sequence of dict, or callable, optional
            By default dispersed around quick estimates. A number is the radius of Stan's random
            inits on the unconstrained (and, in a marginal program, standardized) scale. A dict (one
            for all chains, or a sequence with one each, or a function of the chain's number, from
            0) holds values of the program's parameters; of a marginal program ``mu``, ``tau``,
            ``Omega``, ``beta`` and ``sigma`` as they are in the container, and what is not given
            starts at the mode. The centered and noncentered programs have the coefficients of
            centred columns, which :func:`hiermodels.at_centre` gives.
        parallel_chains : int, optional
            Chains at once; by default as many as there are processors.
        threads : int
            Threads of a chain; these programs use one.
        progress : bool, optional
            Progress bar: by default in a terminal and in a notebook.
        executor : concurrent.futures.Executor, optional
            Where the chains run, one task each; its workers must see this machine's files.
        output_dir : path, optional
            Folder that keeps Stan's own files, and what :func:`hiermodels.resume` needs to go on
            with a fit that was cut short.
        save_warmup : bool
            Adds the groups ``warmup_posterior`` and ``warmup_sample_stats``.
        include : sequence of {"deviation", "eta", "L_Omega"}
            Further variables of the posterior: deviations theta - mu, standardized effects
            (noncentered only), Cholesky factor of Omega.
        pointwise : bool or "auto"
            ``log_likelihood`` and ``posterior_predictive``, which cost draws x rows, and
            ``log_likelihood_group``, which costs draws x groups. "auto" leaves out what takes more
            than 256 MiB (32 MiB beside exact draws, which would take less time than that);
            :meth:`add_pointwise` adds it later.
        effects : {"auto", "draws", "summary", "none"}
            What a marginal fit gives of the group effects: one exact conditional draw for each
            draw of the hyperparameters (``theta`` in ``posterior``), or mean, sd and quantiles of
            each group's effects without drawing them (``theta`` in the group
            ``effects_summary``), or nothing. "auto" draws them where that takes up to 1 GiB, and
            else sums them up.
        allow_failed_chains : bool
            Return the finished chains, with a warning, where others failed.
        engine : {"nuts", "exact", "gibbs"}
            How the draws are made. "nuts": by Stan. "exact": independent draws, without CmdStan and
            without a Markov chain: for ``EightSchools`` and ``OneWay`` by quadrature
            (:mod:`hiermodels.engines.exact.posterior`), for ``VaryingSlopes`` from t distributions
            that resemble the posterior, weighted (:mod:`hiermodels.engines.importance.sampler`):
            the efficiency and Pareto k of the weights are in the attributes; with a common residual
            sd. Without partial pooling they are those of a regression
            (:mod:`hiermodels.engines.exact.regressions`), under normal or flat priors of its
            coefficients. "gibbs": for ``OneWay`` with semi-conjugate priors,
            ``hm.gibbs.semiconjugate(...)`` or ``hm.gibbs.reference()``
            (:mod:`hiermodels.engines.gibbs.sampler`). Options that only NUTS has are refused with
            the others.

        Returns
        -------
        InferenceData or DataTree
            The installed ArviZ's container.

        Raises
        ------
        OptionError
            An option of the wrong kind or value.
        CmdStanError, CompileError
            CmdStan is not there and cannot be installed, or the program does not compile.
        SamplingError
            A chain failed; the finished ones are in its ``idata``.
        ExactError
            The posterior is one that ``engine="exact"`` cannot give.

        Warns
        -----
        DiagnosticWarning
            One for each kind of trouble with the draws; ``hm.check`` says more.
        """
        began = time.monotonic()
        asked = {
            **(
                {"warmup": (warmup, None), "save_warmup": (save_warmup, False)}
                if engine == "exact"
                else {}
            ),
            "adapt_delta": (adapt_delta, None),
            "max_treedepth": (max_treedepth, 10),
            "metric": (metric, None),
            "inits": (inits, None),
            "parallel_chains": (parallel_chains, None),
            "threads": (threads, 1),
            "executor": (executor, None),
            "output_dir": (output_dir, None),
            "allow_failed_chains": (allow_failed_chains, False),
        }
        one_of("engine", engine, other_engines.ENGINES)
        if isinstance(include, str) or not isinstance(include, Sequence):
            raise OptionError(
                f"include must be a list of names, got {shown(include)}; ['deviation'] is one"
            )
        for name in include:
            one_of("include", name, layout.EXTRAS)
        if not isinstance(pointwise, (str, int, np.bool_)) or pointwise not in (0, 1, "auto"):
            raise OptionError(f"pointwise must be True, False or 'auto', got {shown(pointwise)}")
        pointwise = pointwise if pointwise == "auto" else bool(pointwise)
        one_of("effects", effects, EFFECTS)
        settings = Settings(
            chains=chains,
            draws=draws,
            warmup=1000 if warmup is None else warmup,
            seed=checked_seed(seed),
            adapt_delta=_CAREFUL if adapt_delta is None else adapt_delta,
            max_treedepth=max_treedepth,
            metric="diag" if metric is None else metric,
            save_warmup=save_warmup,
        )
        if engine != "nuts":
            nuts = "use " + option("engine", "nuts")
            refuse_without_marginal(self.family, f"engine={engine!r}", nuts)
            other_engines.refuse_options(engine, asked)
            idatas.check_importable()
            # Whatever its parameterization for NUTS: the posterior is the same.
            model = self._marginal_twin(f"engine={engine!r} has no use for one")
            common: dict[str, Any] = {
                "chains": chains,
                "draws": draws,
                "seed": settings.seed,
                "include": include,
                "pointwise": pointwise,
                "effects_kept": kept_effects.effects_to_keep(
                    model,
                    effects,
                    chains * draws,
                    pointwise,
                    include,
                    from_statistics=engine == "exact",
                ),
                "began": began,
            }
            if engine == "exact":
                return other_engines.exact(model, **common)
            idata, trouble = other_engines.gibbs(
                model,
                warmup=settings.warmup,
                save_warmup=save_warmup,
                progress=progress,
                **common,
            )
            for line in trouble:
                warnings.warn(line, DiagnosticWarning, stacklevel=2)
            return idata
        kept = kept_effects.effects_to_keep(self, effects, chains * draws, pointwise, include)
        parallel = sampling.check_parallel(parallel_chains, chains, threads)
        sampling.check_place(executor, output_dir)
        idatas.check_importable()
        # Mode and curvature take a moment with many groups: after all that costs nothing.
        if self.is_marginal and self.standardization.near_normal:
            usual = adapt_delta is None and self.standardization.efficiency >= _EASY
            settings = replace(
                settings,
                warmup=SHORT_WARMUP if warmup is None else settings.warmup,
                metric="unit" if metric is None else settings.metric,
                adapt_delta=_USUAL if usual else settings.adapt_delta,
            )
        starts = inits_of(self, inits, chains, settings.seed)
        idata, trouble = fitting.posterior(
            self,
            settings,
            starts,
            include=include,
            pointwise=pointwise,
            effects_kept=kept,
            allow_failed_chains=allow_failed_chains,
            parallel_chains=parallel,
            executor=executor,
            progress=progress,
            output_dir=output_dir,
            began=began,
        )
        for line in trouble:
            warnings.warn(line, DiagnosticWarning, stacklevel=2)
        return idata

    def _marginal_twin(self, reason: str) -> Model:
        """The model as the engines without Stan see it: the same posterior."""
        if self.pooling != "partial":
            return self
        twin: Model = self if self.is_marginal else self.replace(parameterization="marginal")
        twin = copy.copy(twin)
        object.__setattr__(twin, "parameterization_reason", reason)
        return twin

    def prior_predictive(
        self,
        draws: int = 1000,
        *,
        seed: int | None = None,
        progress: bool | None = None,
        executor: Executor | None = None,
    ) -> Any:
        """Draw parameters from the prior, and data given them.

        The same kind of program as for the posterior, with the likelihood left out; under partial
        pooling the noncentered one, because the prior of a centered model is Neal's funnel, which
        NUTS does not explore.

        Parameters
        ----------
        draws : int
            Number of draws.
        seed : int, optional
            Makes the draws reproducible; recorded.
        progress, executor
            As for :meth:`fit`.

        Returns
        -------
        InferenceData or DataTree
            Groups ``prior``, ``prior_predictive``, ``observed_data`` and ``constant_data``; one
            chain of ``draws`` draws.

        Raises
        ------
        PriorError
            A prior is improper: there is nothing to draw from.

        Warns
        -----
        DiagnosticWarning
            The prior itself is hard to draw from; its tails may be too long to mean anything.
        """
        idata, trouble = fitting.prior(
            self, draws, checked_seed(seed), progress=progress, executor=executor
        )
        for line in trouble:
            warnings.warn(f"prior: {line}", DiagnosticWarning, stacklevel=2)
        return idata

    def add_pointwise(self, idata: Any, *, seed: int | None = None) -> None:
        """Add the log likelihoods and ``posterior_predictive`` to a container of this model.

        They are computed in blocks of draws; what they take in the end is 2 x draws x rows x 8
        bytes.

        Parameters
        ----------
        idata : InferenceData or DataTree
            What :meth:`fit` of this very model returned; changed in place.
        seed : int, optional
            Seed of the replicated data; by default that of the fit.

        Raises
        ------
        ContainerError
            The container comes from another model.
        """
        add_pointwise(self, idata, seed)

    def predict(
        self, idata: Any, frame: Any, target: str = "same", *, seed: int | None = None
    ) -> prediction.Prediction:
        """Predict the rows of a data frame: draws of the response and of its expected value.

        Parameters
        ----------
        idata : InferenceData or DataTree
            What :meth:`fit` of this very model returned.
        frame : data frame, or path to CSV or Parquet files
            Any that the model itself takes, with its columns but the response: the predictors, in
            the fit's own coding of text; the groups, unless ``target="average"``; the standard
            errors of ``EightSchools``, without which there is no response, only its expected value
            theta. Rows with missing values are refused or dropped as the model does.
        target : {"same", "new", "average"}
            Whose effects: those of the groups that were fitted, by their labels; those of new
            groups, one for each label in the frame (also where a fitted group has that label),
            drawn from the population once per posterior draw and shared by all rows with the
            label; or those of a group at the mean of the population, theta = mu. Without pooling
            there is no population, and only the first; under complete pooling theta is always mu.
            With ``sigma="group"`` only a fitted group has a residual sd: of the others the
            expected value is predicted, and no response.
        seed : int, optional
            By default that of the fit. The draws do not depend on the number of processors.

        Returns
        -------
        Prediction
            ``.table`` has a row for each row of the frame, ``.prob(lambda y: y > 0)`` the
            probability of an event, ``.idata`` the draws.

        Raises
        ------
        OptionError
            An unknown target, one that the pooling strategy does not have, or predictions of more
            than 2 GiB.
        ContainerError
            The container comes from another model, or lacks the effects that ``"same"`` needs.
        ColumnError, DataError
            The frame cannot be used: a column is not there or of another kind, values are missing,
            or a level or a group is one that the fit has not seen.
        """
        return prediction.predict(self, idata, frame, target, seed=seed)
