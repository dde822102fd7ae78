"""Property tests draw the same examples everywhere, and do not mind how fast a machine is."""

from hypothesis import HealthCheck, settings

settings.register_profile("anywhere", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("anywhere")
