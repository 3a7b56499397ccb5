"""The layouts, and the usual names of columns, as :func:`src.data.rows.plain_name` writes them."""

LAYOUTS = {  # as data.layout names them, and as reports do
    "wide": "a wide table",
    "braces": "labels in braces",
    "colon": "labels with colons",
    "pairs": "lists of labels",
    "spans": "labels of spans",
    "long": "a long table",
    "flags": "columns of 0 and 1 with their sentiments",
    "vlsp": "VLSP 2018",
    "semeval": "SemEval XML",
    "acos": "lines with ####",
    "pyabsa": "PyABSA's three lines",
    "label-studio": "an export of Label Studio",
    "doccano": "an export of doccano",
}
OF_FILES = ("vlsp", "semeval", "acos", "pyabsa")  # layouts that the content of a file fixes
LABEL_COLUMNS = ("label", "labels")
ID_COLUMNS = ("id", "index", "", "unnamed: 0", "  index level 0  ")  # the last three: the index as pandas saves it
MORE_IDS = ("review id", "comment id", "sentence id", "stt")
IGNORED_COLUMNS = ("n star", "date time")  # of UIT-ViSFD
TITLES = ("title", "tieu de", "subject", "heading")  # texts beside the text
TOOL_COLUMNS = {
    *("annotator", "annotators", "annotator id", "annotation id", "annotation date", "annotation time", "annotated by"),
    *("annotated at", "lead time", "created at", "updated at", "completed by", "created username", "created ago"),
    *("updated by", "updated username", "was cancelled", "total annotations", "comments", "comment count", "inner id"),
    *("file upload", "is labeled", "reviewer", "reviewed by", "agreement", "predictions", "prediction", "drafts"),
}
