"""The data-set doctor: looks at every file of a data set, and says in sentences what is wrong and what mends it."""

from core.data.doctor.examination import examine, examine_dataset
from core.data.doctor.findings import SEVERITIES, Finding, Report, refuse_broken

__all__ = ["SEVERITIES", "Finding", "Report", "examine", "examine_dataset", "refuse_broken"]
