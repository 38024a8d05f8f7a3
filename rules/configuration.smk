# Which configuration file is read where no other is named: a study's own folder (--directory) may hold one, where it
# holds none, the repository's is read. It is looked at before Snakemake reads it, which says neither which nor where.
import os
import sys
from pathlib import Path

SCRIPTS = Path(str(workflow.current_basedir)).parent / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))
from snakemake.exceptions import WorkflowError
from medscale.base.config_file import require_own_code, require_readable
from medscale.base.errors import UserError

OWN, SHIPPED = Path("config/config.yaml"), Path(str(workflow.current_basedir)).parent / "config" / "config.yaml"
CONFIGURATION = str(OWN if OWN.exists() else SHIPPED)
try:
    require_own_code(SCRIPTS)
    require_readable(CONFIGURATION)
except UserError as error:
    raise WorkflowError(str(error)) from None
