"""What all parts of a run file are made of."""

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A part of a run file: no key but its own, nothing changed once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def changed(self) -> set[str]:
        """Return the fields that aren't at their default; a stored run file names them all."""
        fields = type(self).model_fields
        return {
            name
            for name in self.model_fields_set
            if getattr(self, name) != fields[name].get_default(call_default_factory=True)
        }
