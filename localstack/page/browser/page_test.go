package browser_test

import (
	"fmt"
	"strings"
	"testing"
)

// counted is JavaScript for the value that the table of everything counted has for a metric; 0 without
// a row.
func counted(service, metric string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#usage tr")].map(row => [...row.cells].map(cell => cell.textContent))
		.filter(([s, , m]) => s === %q && m === %q).reduce((all, [, , , v]) => all + Number(v.replaceAll(",", "")), 0)`, service, metric)
}

const (
	state = `document.getElementById("state").textContent`
	cost  = `document.getElementById("cost").textContent`
	bill  = `document.getElementById("bill").rows.length`
	// lines is how many of the chart's three lines leave the ground.
	lines = `[...document.querySelectorAll("#chart polyline")].filter(line => [...line.points].some(point => point.y < 97)).length`
)

// What somebody sees who has the page open while people chat: numbers, a chart and a cost that follow
// the traffic, a fresh start on demand, and a page that goes on when the local cloud was restarted.
func TestPage(t *testing.T) {
	c := startCloud(t)
	p := open(t, c.url+"/_local/")

	p.await("it says that nobody is connected", state+` === "0 connections open"`)
	p.await("nothing is counted", counted("apigateway", "messages_in")+" === 0")
	c.duet("signup", "alice")
	c.duet("signup", "bob")
	c.duet("send", "bob", "hello", "--as", "alice")
	p.await("a message is counted", counted("apigateway", "messages_in")+" >= 1")
	p.await("its function is", counted("lambda", "invocations")+" >= 1")
	p.await("its table is", counted("dynamodb", "write_units")+" >= 1")
	p.await("all three lines are drawn", lines+" === 3")
	p.painted()
	p.await("it has a price", bill+` > 0 && /^US\$ 0\.\d+ so far, \d+\.\d\d per million frames/.test(`+cost+`)`)

	p.await("send has its share", `[...document.querySelectorAll("#functions tr")].some(row => /^SendFunction\$0\.\d+.*-MessagesTable \$0\.\d+.*\$0\.\d+$/.test(row.textContent))`)

	before := p.number(counted("apigateway", "messages_in"))
	c.duet("send", "alice", "hello yourself", "--as", "bob")
	p.await("another message counts on", fmt.Sprintf("%s > %v", counted("apigateway", "messages_in"), before))
	usage := c.usage()
	for _, metric := range []string{"messages_in", "replies_out"} {
		p.await("the page says what the API says", fmt.Sprintf("%s === %v", counted("apigateway", metric), usage["apigateway"][metric]))
	}

	chat := c.chat("bob", "--as", "alice")
	p.await("one is connected", state+` === "1 connection open"`)
	chat.end()
	p.await("nobody is again", state+` === "0 connections open"`)

	p.click("#reset")
	p.await("nothing is counted any more", counted("apigateway", "messages_in")+" === 0 && "+counted("dynamodb", "write_units")+" === 0")
	c.duet("send", "bob", "once more", "--as", "alice")
	p.await("it counts from zero", fmt.Sprintf("%s >= 1 && %[1]s <= %v", counted("apigateway", "messages_in"), before))
	if complaints := p.complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(complaints, "\n"))
	}

	c.stop()
	p.await("it says that nobody answers", state+`.startsWith("The local cloud does not answer")`)
	c.start()
	p.await("it goes on after the restart", state+` === "0 connections open"`)
	for _, complaint := range p.complaints() {
		if !strings.Contains(complaint, "ERR_CONNECTION_REFUSED") {
			t.Errorf("while there is no local cloud the browser complains: %s", complaint)
		}
	}
	c.duet("send", "bob", "still there?", "--as", "alice")
	p.await("a message is counted after the restart", counted("apigateway", "messages_in")+" >= 1")
	p.await("the lines are there", lines+" === 3")
	p.painted()
	if complaints := p.complaints(); len(complaints) > 0 {
		t.Errorf("after the restart the browser complains:\n%s", strings.Join(complaints, "\n"))
	}
}

// A page opened late has the chart of what was before it.
func TestPageOpenedLate(t *testing.T) {
	c := startCloud(t)
	c.duet("signup", "alice")
	c.duet("signup", "bob")
	c.duet("send", "bob", "hello", "--as", "alice")
	p := open(t, c.url+"/_local/")
	p.await("all three lines are drawn", lines+" === 3")
	p.painted()
	if complaints := p.complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(complaints, "\n"))
	}
}
