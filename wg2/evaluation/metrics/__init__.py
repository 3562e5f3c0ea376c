"""Objective metrics, one file each: what is measured, who defined it, and what it cannot tell."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """What a metric is called and which way is better.

    Attributes:
        name: its column.
        label: on a page.
        unit: of the figure; empty for a share or a score.
        better: 'low' or 'high'.
        heard: whether it is a recogniser's; figures of two are not to be compared.
    """

    name: str
    label: str
    unit: str = ""
    better: str = "low"
    heard: bool = False

    def title(self, recogniser: str) -> str:
        """Its label, with the recogniser's name where it is one's."""
        return f"{self.label} ({recogniser})" if self.heard and recogniser else self.label


METRICS = (
    Metric("wer", "WER", heard=True),
    Metric("cer", "CER", heard=True),
    Metric("dnsmos", "DNSMOS", better="high"),
    Metric("dnsmos_sig", "DNSMOS speech", better="high"),
    Metric("dnsmos_bak", "DNSMOS background", better="high"),
    Metric("mcd", "MCD", "dB"),
    Metric("log_f0_rmse", "log-F0 RMSE"),
    Metric("voicing_error", "voicing error"),
    Metric("lsd_0_4", "LSD 0-4 kHz", "dB"),
    Metric("lsd_4_8", "LSD 4-8 kHz", "dB"),
    Metric("lsd_8_12", "LSD 8-12 kHz", "dB"),
    Metric("duration_error", "duration error", "frames"),
    Metric("rtf", "RTF (mean)"),
    Metric("peak_mib", "peak memory", "MiB"),
)
"""All of them, in the order of the tables."""
