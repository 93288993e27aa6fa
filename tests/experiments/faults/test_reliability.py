"""The page of counts."""

from tests.experiments.faults import reliability

REPORT = """<testsuites><testsuite><testcase name="a"><properties>
<property name="fault" value="4 3 kill -9 at a random moment"/><property name="other" value="x"/></properties></testcase>
<testcase name="b"><properties><property name="fault" value="2 2 kill -9 at a random moment"/>
<property name="fault" value="1 1 SIGTERM"/></properties></testcase></testsuite></testsuites>"""


def test_counts_of_all_tests_and_reports_are_added_by_fault():
  sums = reliability.counts([REPORT, REPORT])
  assert sums == {'SIGTERM': (2, 2), 'kill -9 at a random moment': (12, 10)}
  assert reliability.page(sums).endswith('| SIGTERM | 2 | 2 |\n| kill -9 at a random moment | 12 | 10 |\n| all | 14 | 12 |\n')


def test_the_page_has_the_form_that_is_written():
  rows = [line for line in reliability.PAGE.read_text().removeprefix(reliability.HEAD).splitlines() if line.strip()]
  sums = {fault: (int(times), int(right)) for fault, times, right in (row.strip('| ').split(' | ') for row in rows)}
  assert sums.pop('all') == tuple(map(sum, zip(*sums.values(), strict=True)))
  assert reliability.page(sums) == reliability.PAGE.read_text()


def test_no_counts_are_a_page_too():
  assert reliability.page({}).endswith('| all | 0 | 0 |\n')
