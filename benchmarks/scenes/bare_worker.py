"""``celery -A benchmarks.scenes.bare_worker worker``"""

from benchmarks.scenes import cpu_tasks  # noqa: F401
from benchmarks.scenes.bare import from_environment

app = from_environment()
