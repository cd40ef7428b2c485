"""Records in: readers, schemas, checks, splits, overlaps and general sources. No models here."""
