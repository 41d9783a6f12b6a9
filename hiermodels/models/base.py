"""What every family does: from a checked design to a container, in the order of the rooms below."""

from __future__ import annotations

import os
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, ClassVar

from .. import programs, propriety, sampling
from ..blocks import Block, Priors, check_given
from ..design import Design
from ..errors import DiagnosticWarning, FrozenError, OptionError, suggest
from . import fitting, groups
from .inits import starts as inits_of

POOLINGS = ("partial", "none", "complete")
PARAMETERIZATIONS = ("auto", "centered", "noncentered")


class Model(ABC):
    """A hierarchical model of a data frame; frozen.

    Attributes
    ----------
    columns : dict
        The arguments that say which column is what.
    design : Design
        The checked data.
    pooling : {"partial", "none", "complete"}
        Pooling strategy.
    parameterization : str
        The parameterization in use, "auto" resolved ("none" or "complete" pooling have one).
    parameterization_reason : str
        Why.
    priors : Priors
        The priors in force.
    """

    family: ClassVar[str]
    stem: ClassVar[str]

    columns: dict[str, Any]
    design: Design
    pooling: str
    parameterization: str
    parameterization_reason: str
    priors: Priors
    _options: dict[str, Any]

    def _setup(
        self,
        frame: Any,
        columns: dict[str, Any],
        *,
        design: Callable[[], Design],
        pooling: str,
        parameterization: str,
        priors: Any,
        missing: str,
    ) -> None:
        """Check the options, then the data, then the priors: cheapest first."""
        _one_of("pooling", pooling, POOLINGS)
        _one_of("parameterization", parameterization, PARAMETERIZATIONS)
        given = check_given(priors)
        data = design()
        fill = object.__setattr__
        fill(
            self,
            "_options",
            {
                "frame": frame,
                **columns,
                "pooling": pooling,
                "parameterization": parameterization,
                "priors": priors,
                "missing": missing,
            },
        )
        fill(self, "columns", columns)
        fill(self, "design", data)
        fill(self, "pooling", pooling)
        # Priors of parameters that only another pooling has stay with the model for replace().
        elsewhere = {b.name for p in POOLINGS for b in self._blocks(p)}
        blocks = self._blocks(pooling)
        here = {b.name for b in blocks}
        in_force = {n: p for n, p in given.items() if n in here or n not in elsewhere}
        fill(self, "priors", Priors(blocks, self._default_priors(), in_force))
        propriety.check(data, self.priors, pooling)
        chosen, reason = self._choose(parameterization)
        fill(self, "parameterization", chosen)
        fill(self, "parameterization_reason", reason)

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenError(
            f"{type(self).__name__} is frozen: {name!r} cannot be set; "
            f"model.replace({name}=...) gives another model"
        )

    def __delattr__(self, name: str) -> None:
        raise FrozenError(f"{type(self).__name__} is frozen: {name!r} cannot be deleted")

    def replace(self, **changes: Any) -> Any:
        """Another model with some arguments of the constructor changed.

        Parameters
        ----------
        **changes
            Any argument of the constructor: ``pooling="none"``, ``priors={...}``, ``frame=...``.

        Returns
        -------
        Model
            Of the same family, checked anew.
        """
        for name in changes:
            if name not in self._options:
                raise OptionError(
                    f"{type(self).__name__} has no argument {name!r}; it has "
                    f"{', '.join(self._options)}{suggest(name, self._options)}"
                )
        options = {**self._options, **changes}
        family: Any = type(self)
        return family(options.pop("frame"), **options)

    def __repr__(self) -> str:
        d = self.design
        columns = ", ".join(f"{k}={v!r}" for k, v in self.columns.items() if v)
        return (
            f"<{self.family}({columns}): {self.pooling} pooling, {self.parameterization}, "
            f"{d.J} groups, {d.N} rows>"
        )

    # ---- what a family fills in --------------------------------------------------------------

    @abstractmethod
    def _blocks(self, pooling: str) -> tuple[Block, ...]:
        """Parameters with a prior, in the order of the program's ``lprior``."""

    @abstractmethod
    def _default_priors(self) -> dict[str, Any]:
        """Default prior of every block of every pooling strategy."""

    @abstractmethod
    def _data(self) -> dict[str, Any]:
        """Stan's data without priors and ``prior_only``."""

    def lprior_places(self) -> list[tuple[int, Block]]:
        """Where each block stands in the program's ``lprior``."""
        return list(enumerate(self._blocks(self.pooling)))

    # ---- what Stan is given ------------------------------------------------------------------

    @property
    def program(self) -> programs.Program:
        """The Stan program: ``print(model.program)`` shows its source."""
        return programs.load(self.program_name())

    def program_name(self, parameterization: str | None = None) -> str:
        """Name of the Stan program, of another parameterization where one is given."""
        if self.pooling == "partial":
            return f"{self.stem}_{parameterization or self.parameterization}"
        return f"{self.stem}_{'no' if self.pooling == 'none' else 'complete'}_pooling"

    @property
    def stan_data(self) -> dict[str, Any]:
        """The data that the program is given, by Stan name; groups are counted from 1."""
        return {**self._data(), **self.priors.stan_data(), "prior_only": 0}

    @property
    def coords(self) -> dict[str, Any]:
        """Labels of the container's dims."""
        d = self.design
        coords: dict[str, Any] = {d.group: d.labels}
        if d.observation_dim != d.group:
            coords["observation"] = d.rows
        if d.coefficients is not None:
            coords["coefficient"] = coords["coefficient_2"] = list(d.coefficients)
        if d.predictors:
            coords["predictor"] = list(d.predictors)
        return coords

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of each variable of the posterior, after chain and draw."""
        d = self.design
        k = () if d.coefficients is None else ("coefficient",)
        dims: dict[str, tuple[str, ...]] = {}
        if self.pooling != "none":
            dims["mu"] = k
        if self.pooling == "partial":
            dims["tau"] = k
        dims["theta"] = (d.group, *k)
        if d.predictors:
            dims["beta"] = (d.group, "predictor") if self.pooling == "none" else ("predictor",)
        if d.residual != "known":
            dims["sigma"] = (d.group,) if d.residual == "group" else ()
        if self.pooling == "partial" and d.coefficients is not None and d.K > 1:
            dims["Omega"] = ("coefficient", "coefficient_2")
        return dims

    def _choose(self, asked: str) -> tuple[str, str]:
        if self.pooling != "partial":
            return f"{self.pooling} pooling", "this pooling strategy has one parameterization"
        if asked != "auto":
            return asked, "asked for"
        # Centered and noncentered sampling converge equally fast where the pooling factor is 1/2
        # (Papaspiliopoulos, Roberts and Skold 2007, Statistical Science 22, section 2).
        pooling_factor = self.design.estimated_pooling()
        if pooling_factor < 0.5:
            return "centered", (
                f"auto: estimated mean pooling factor {pooling_factor:.2f}, so the data say more "
                "about most groups than the population does"
            )
        return "noncentered", (
            f"auto: estimated mean pooling factor {pooling_factor:.2f}, so the population says "
            "more about most groups than their data do"
        )

    # ---- fitting -----------------------------------------------------------------------------

    def fit(
        self,
        *,
        chains: int = 4,
        draws: int = 1000,
        warmup: int = 1000,
        seed: int | None = None,
        adapt_delta: float = 0.95,
        max_treedepth: int = 10,
        metric: str = "diag",
        inits: Any = None,
        parallel_chains: int | None = None,
        threads: int = 1,
        progress: bool | None = None,
        executor: Executor | None = None,
        output_dir: str | os.PathLike[str] | None = None,
        save_warmup: bool = False,
        include: Sequence[str] = (),
        pointwise: bool | str = "auto",
        allow_failed_chains: bool = False,
        engine: str = "nuts",
    ) -> Any:
        """Draw from the posterior by NUTS.

        Parameters
        ----------
        chains, draws, warmup : int
            Number of chains, draws kept of each, and warmup iterations before them.
        seed : int, optional
            Makes the fit reproducible; drawn and recorded in the attributes where not given.
        adapt_delta : float
            Target acceptance rate, between 0 and 1. Higher than Stan's 0.8, because the posterior
            of a hierarchical model narrows towards tau = 0. Raise it against divergences.
        max_treedepth : int
            A trajectory has at most ``2**max_treedepth - 1`` leapfrog steps.
        metric : {"diag", "dense", "unit"}
            Shape of the inverse mass matrix.
        inits : float, dict, sequence of dict, or callable, optional
            By default dispersed around quick estimates. A number is the radius of Stan's random
            inits; a dict (one for all chains, or a sequence with one each, or a function of the
            chain's number, from 0) holds values of Stan's parameters.
        parallel_chains : int, optional
            Chains at once; by default as many as there are processors.
        threads : int
            Threads of a chain; these programs use one.
        progress : bool, optional
            Progress bar: by default in a terminal and in a notebook.
        executor : concurrent.futures.Executor, optional
            Where the chains run, one task each; its workers must see this machine's files.
        output_dir : path, optional
            Folder that keeps Stan's own files.
        save_warmup : bool
            Adds the groups ``warmup_posterior`` and ``warmup_sample_stats``.
        include : sequence of {"deviation", "eta", "L_Omega"}
            Further variables of the posterior: deviations theta - mu, standardized effects
            (noncentered only), Cholesky factor of Omega.
        pointwise : bool or "auto"
            ``log_likelihood`` and ``posterior_predictive``, whose size is draws x rows. "auto"
            leaves them out above 1 GiB; :meth:`add_pointwise` adds them later.
        allow_failed_chains : bool
            Return the finished chains, with a warning, where others failed.
        engine : {"nuts"}
            How the draws are made.

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

        Warns
        -----
        DiagnosticWarning
            One for each kind of trouble with the draws; ``hm.check`` says more.
        """
        began = time.monotonic()
        _one_of("engine", engine, ("nuts",))
        for name in include:
            _one_of("include", name, groups.EXTRAS)
        if pointwise not in (True, False, "auto"):
            raise OptionError(f"pointwise must be True, False or 'auto', got {pointwise!r}")
        settings = sampling.Settings(
            chains=chains,
            draws=draws,
            warmup=warmup,
            seed=fitting.seed(seed),
            adapt_delta=adapt_delta,
            max_treedepth=max_treedepth,
            metric=metric,
            save_warmup=save_warmup,
        )
        parallel = sampling.check_parallel(parallel_chains, chains, threads)
        sampling.check_place(executor, output_dir)
        starts = inits_of(self, inits, chains, settings.seed)
        idata, trouble = fitting.posterior(
            self,
            settings,
            starts,
            include=include,
            pointwise=pointwise,
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
        """
        return fitting.prior(self, draws, fitting.seed(seed), progress=progress, executor=executor)

    def add_pointwise(self, idata: Any, *, seed: int | None = None) -> None:
        """Add ``log_likelihood`` and ``posterior_predictive`` to a container of this model.

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
        fitting.add_pointwise(self, idata, seed)


def _one_of(name: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise OptionError(
            f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}"
            f"{suggest(str(value), allowed)}"
        )
