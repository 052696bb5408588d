"""The version of plmjax."""

__version__ = "0.1.0"
