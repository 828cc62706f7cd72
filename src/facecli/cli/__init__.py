"""The command line: the only part that prints, prompts and exits.

One file a command. ``_root`` owns exit statuses, ``_options`` the shared options, ``_output`` everything printed, and
``_render`` the shape of results as JSON and as text.
"""
