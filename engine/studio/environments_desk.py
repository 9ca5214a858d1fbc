"""Use cases about environments of voices: what is installed and what is missing, installing and removing one."""

from __future__ import annotations

from engine import environments
from engine.environments import Environment
from engine.jobs import Report
from engine.studio.models import Models


class EnvironmentsDesk(Models):
    """Voices that need packages of their own."""

    def environments(self) -> list[Environment]:
        """One a voice that wants one, with how it stands."""
        return environments.listing(self.workspace)

    def install_environment(self, backend: str) -> str:
        """Make a voice's environment in the background, or go on with it; returns the job's id.

        Raises NotFound for a voice that needs none.
        """
        environments.requirements(backend)

        def work(report: Report) -> None:
            from engine.environments import installing

            said = 0

            def tell(line: str) -> None:
                nonlocal said
                said += 1
                report(said, 0, line)

            installing.install(self.workspace, backend, tell=tell, cancelled=report.cancelled)

        return self._jobs.start(f"install {backend}", work)

    def remove_environment(self, backend: str) -> None:
        """Take a voice's environment away; the voice is let go of first. Raises NotFound when there is none."""
        from engine.environments import installing

        environments.requirements(backend)
        self.unload()
        installing.remove(self.workspace, backend)

    def check_voice(self, backend: str, text: str, voice: str = "") -> float:
        """Whether training teaches what is spoken: the share of greedily spoken codes that the training step predicts
        where it puts them, 1.0 when it is right. Raises Refused for a voice that has no such check.
        """
        from engine.backends import offers
        from engine.types import Refused

        with self.host(backend, what="a check") as host:
            model = host.model
            if not isinstance(model, offers.ChecksTraining):
                raise Refused(f"{backend} has no such check of its training step.")
            return model.agreement(text, voice or model.capabilities.voices[0])
