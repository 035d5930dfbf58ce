"""What a run is: one frozen object that makes the form, the command line, `config.json` and the report's table.

Default, bounds, unit, label, group and help stand beside each field, and so does the condition under which it has a
say. Nothing here imports torch.
"""

from core.config.dataset import (
    MAX_FOLDS,
    OWN,
    RGB,
    Annotations,
    CacheKind,
    CoarseSplit,
    DatasetConfig,
    DatasetName,
    PixelFormat,
)
from core.config.model import OF_RUN, ModelConfig
from core.config.reading import (
    OLD_NAMES,
    read_config,
    read_stored_config,
    todays_name,
    with_preset,
    with_stored_fields,
    with_todays_names,
)
from core.config.run import (
    PRESETS,
    RunConfig,
    all_fields,
    bounds_of,
    choices_of,
    differences,
    fields_of,
    has_a_say,
    setting_of,
    used_settings,
)
from core.config.runner import CLUSTER_NAME, EngineName, RunnerConfig
from core.config.settings import Condition, Setting
from core.config.tracking import TrackingConfig
from core.config.training import ITSELF, LossName, OptimizerName, ScheduleName, TrainingConfig, WeightingName

__all__ = [
    "CLUSTER_NAME",
    "OLD_NAMES",
    "OWN",
    "PRESETS",
    "RGB",
    "Annotations",
    "CacheKind",
    "CoarseSplit",
    "Condition",
    "DatasetConfig",
    "DatasetName",
    "EngineName",
    "ITSELF",
    "LossName",
    "MAX_FOLDS",
    "OF_RUN",
    "ModelConfig",
    "OptimizerName",
    "PixelFormat",
    "RunConfig",
    "RunnerConfig",
    "ScheduleName",
    "Setting",
    "TrackingConfig",
    "TrainingConfig",
    "WeightingName",
    "all_fields",
    "bounds_of",
    "choices_of",
    "differences",
    "fields_of",
    "has_a_say",
    "read_config",
    "read_stored_config",
    "setting_of",
    "todays_name",
    "used_settings",
    "with_preset",
    "with_stored_fields",
    "with_todays_names",
]
