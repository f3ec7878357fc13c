// Bill prints what AWS would charge for what a local cloud has done so far.
//
//	go run ./localstack/cmd/bill --endpoint http://localhost:4566
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/duet-chat/duet/localstack/bill"
)

type flags struct {
	Endpoint string `default:"http://localhost:4566" help:"The local cloud."`
	JSON     bool   `help:"Print JSON."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("bill"), kong.Description("What AWS would charge for what a local cloud has done so far."))
	if err := run(f); err != nil {
		fmt.Fprintln(os.Stderr, "bill:", err)
		os.Exit(1)
	}
}

func run(f flags) error {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(f.Endpoint + "/_local/bill")
	if err != nil {
		return fmt.Errorf("no local cloud answers at %s: start one with `make run`, or name it with --endpoint: %w", f.Endpoint, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: is it a local cloud?", f.Endpoint, response.Status)
	}
	var b bill.Bill
	if err := json.NewDecoder(response.Body).Decode(&b); err != nil {
		return fmt.Errorf("%s does not answer with a bill: %w", f.Endpoint, err)
	}
	if f.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(b)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, line := range b.Lines {
		fmt.Fprintf(w, "%s\t%s\t%.6g\t%s\t$%.6f\n", line.Service, line.Resource, line.Units, line.What, line.USD)
	}
	fmt.Fprintf(w, "total\t\t\t\t$%.6f\n", b.USD)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Println("\nOf that, by function:")
	for _, f := range b.Functions {
		fmt.Fprintf(w, "%s\t$%.6f\titself $%.6f", f.Name, f.USD, f.Lambda)
		for _, table := range slices.Sorted(maps.Keys(f.Tables)) {
			fmt.Fprintf(w, ", %s $%.6f", table, f.Tables[table])
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("\n%.0f frames from clients; $%.2f per million of them. Prices of %s (%s), without free tiers.\n", b.Messages, b.PerMillion, b.Region, b.PricesOf)
	return nil
}
