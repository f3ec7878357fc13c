package browser_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"iter"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// page is a tab of a browser.
type page struct {
	t       *testing.T
	ctx     context.Context
	console func() (chromedp.ConsoleMessage, error, bool) // the next message
	asked   int                                           // how often for complaints
}

// open starts a browser of its own and opens a page.
func open(t *testing.T, url string) *page {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	// The sandbox needs rights that containers do not give; the page is our own.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.WindowSize(1000, 1200), chromedp.WSURLReadTimeout(patience))
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	p := &page{t: t, ctx: ctx}
	var end func()
	p.console, end = iter.Pull2(chromedp.Console(ctx))
	t.Cleanup(end)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatalf("open %s in Chromium: %v", url, err)
	}
	return p
}

// complaints are the warnings and errors that the console has shown since it was asked for them last.
func (p *page) complaints() (found []string) {
	p.t.Helper()
	p.asked++
	last := fmt.Sprintf("asked %d times", p.asked)
	if err := chromedp.Do(p.ctx, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("console.log(%q)", last))); err != nil {
		p.t.Fatal(err)
	}
	for {
		m, err, ok := p.console()
		switch {
		case err != nil || !ok:
			p.t.Fatalf("the console has ended: %v", err)
		case m.Text == last:
			return found
		case m.IsException(), m.Type == "error", m.Type == "warning", m.Type == "assert":
			found = append(found, fmt.Sprintf("%v %s", m, m.URL))
		}
	}
}

// await waits until a condition of JavaScript holds, which is looked at whenever the page changes.
func (p *page) await(what, condition string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	const watch = `new Promise(resolve => {
		const holds = () => (%s)
		if (holds()) return resolve()
		new MutationObserver((_, me) => { if (holds()) { me.disconnect(); resolve() } })
			.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true })
	})`
	err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(watch, condition), chromedp.EvalAwaitPromise))
	if err != nil {
		text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText")) // as good as it goes: the test has failed
		p.t.Fatalf("%s: %v\nthe page shows:\n%s", what, err, text)
	}
}

// number is the value of an expression.
func (p *page) number(expression string) float64 {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[float64](expression))
	if err != nil {
		p.t.Fatal(err)
	}
	return value
}

func (p *page) click(selector chromedp.CSS) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Click(selector)); err != nil {
		p.t.Fatalf("click %s: %v", selector, err)
	}
}

// painted looks at a picture of the chart: each line's colour, or nearly so at a slope's edge, must be
// above the ground, where lines are that have left it.
func (p *page) painted() {
	p.t.Helper()
	picture, err := chromedp.Run(p.ctx, chromedp.Screenshot(chromedp.CSS("#chart")))
	if err != nil {
		p.t.Fatalf("picture of the chart: %v", err)
	}
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		p.t.Fatal(err)
	}
	colours, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll("#chart polyline")].map(line => getComputedStyle(line).stroke)`))
	if err != nil || len(colours) != 3 {
		p.t.Fatalf("colours of the chart's lines: %q %v, want 3", colours, err)
	}
	for _, colour := range colours {
		var r, g, b int
		if _, err := fmt.Sscanf(colour, "rgb(%d, %d, %d)", &r, &g, &b); err != nil {
			p.t.Fatalf("a line's colour is %q: %v", colour, err)
		}
		if dots := above(img, r, g, b); dots < 5 {
			p.t.Errorf("the chart has %d dots of %s above the ground, want a line", dots, colour)
		}
	}
}

// above counts the dots of a colour in all but the lowest part of a picture, where lines of zeros are.
func above(img image.Image, r, g, b int) (dots int) {
	const near = 40 // colours of different lines are further apart, and from the paper
	area := img.Bounds()
	area.Max.Y -= area.Dy() * 4 / 100
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			if abs(int(c.R)-r) <= near && abs(int(c.G)-g) <= near && abs(int(c.B)-b) <= near {
				dots++
			}
		}
	}
	return dots
}

func abs(n int) int { return max(n, -n) }
