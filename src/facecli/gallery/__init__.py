"""The gallery: who is enrolled, kept safe and searched exactly. See docs/gallery.md."""

from facecli.gallery.schema import NewTemplate, Person, StoredTemplate
from facecli.gallery.search import Candidate
from facecli.gallery.store import Gallery

__all__ = ["Candidate", "Gallery", "NewTemplate", "Person", "StoredTemplate"]
