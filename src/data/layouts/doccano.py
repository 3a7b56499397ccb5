"""doccano's exports (https://doccano.github.io/doccano/): JSONL and CSV, one text a row.

``{"id": 1, "text": ..., "label": ["Pin#positive"], "Comments": []}`` for labels of texts, and for spans
``"label": [[0, 3, "PIN#POSITIVE"]]`` or ``"entities": [...]``. The lists are read by :mod:`src.data.layouts.lists`.
"""

OF_DOCCANO = ("Comments", "entities", "relations", "cats")  # of the tool, beside id, text and label
DOCCANO_LABELS = ("label", "labels", "entities", "cats")
