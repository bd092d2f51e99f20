"""Traces and images of two programs, compared, with the evidence kept."""

from tiledsim.parity.compare_logs import Comparison as Comparison
from tiledsim.parity.compare_logs import compare as compare
from tiledsim.parity.read_log import TraceLog as TraceLog
from tiledsim.parity.read_log import read_log as read_log

__all__ = ["Comparison", "TraceLog", "compare", "read_log"]
