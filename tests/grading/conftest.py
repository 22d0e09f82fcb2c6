"""The corpus is graded, not collected."""

collect_ignore = ["corpus"]
