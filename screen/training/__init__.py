"""What is put into a trainer: vectors added in training steps, and a monitor of the traits as training goes on."""

from screen.training.monitor import PersonaAlarm as PersonaAlarm
from screen.training.monitor import PersonaMonitor as PersonaMonitor
from screen.training.vaccine import PreventativeSteering as PreventativeSteering

__all__ = ["PersonaAlarm", "PersonaMonitor", "PreventativeSteering"]
