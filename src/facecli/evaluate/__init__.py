"""How good a system is on labelled data: protocols are read, photographs embedded once, and reports built.

The numbers themselves come from :mod:`facecli.metrics`; what is printed or drawn from a report is others' work.
"""
