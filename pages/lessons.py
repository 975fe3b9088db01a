"""Lessons: what the app offers to be led through, and what was said in it against what was measured."""

from mlem.ui import along, lesson, lesson_overview, page
from mlem.ui.boot import through_app

through_app()

page.head("Shall I lead you through it?", lesson_overview.LEAD)
current = along.texts().get("lesson")
for name, offered in lesson_overview.offered(current).items():
    lesson_overview.draw(name, offered, said=lesson.kept(name), current=name == current)
