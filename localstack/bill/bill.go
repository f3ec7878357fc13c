// Package bill turns what the local cloud has metered into what AWS would charge for it.
package bill

import (
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/duet-chat/duet/localstack/meter"
)

//go:embed prices.yaml
var prices []byte

// Prices is a price list.
type Prices struct {
	Date   string
	Region string
	Prices []Price
}

// Price is what some units of a metric cost.
type Price struct {
	Service, Metric, What string
	USD                   float64
	Per                   float64 // units
}

// Current is the price list that this program was built with.
func Current() (Prices, error) {
	var p Prices
	if err := yaml.Unmarshal(prices, &p); err != nil {
		return Prices{}, fmt.Errorf("prices.yaml: %w", err)
	}
	for _, price := range p.Prices {
		if price.USD <= 0 || price.Per <= 0 {
			return Prices{}, fmt.Errorf("prices.yaml: %s %s costs %v per %v: both must be positive", price.Service, price.Metric, price.USD, price.Per)
		}
	}
	return p, nil
}

// Line is what one metric of one resource costs.
type Line struct {
	Service  string  `json:"service"`
	Resource string  `json:"resource"`
	Metric   string  `json:"metric"`
	What     string  `json:"what"`
	Units    float64 `json:"units"`
	USD      float64 `json:"usd"`
}

// Function is what a function costs, with its share of each table.
type Function struct {
	Name   string             `json:"function"`
	Lambda float64            `json:"lambda_usd"`
	Tables map[string]float64 `json:"tables_usd"`
	USD    float64            `json:"usd"`
}

// Bill is what a stretch of usage costs.
type Bill struct {
	PricesOf string  `json:"prices_of"` // date of the price list
	Region   string  `json:"region"`
	Lines    []Line  `json:"lines"`
	USD      float64 `json:"usd"`
	// Functions says which functions caused how much of it, the dearest first. What nobody's function
	// did is no part of it: messages, connections, and requests of the account's owner.
	Functions []Function `json:"functions"`
	// Messages is how many frames clients sent, heartbeats and all; PerMillion is the price of a
	// million of them, 0 without any.
	Messages   float64 `json:"messages"`
	PerMillion float64 `json:"usd_per_million_messages"`
}

// Of makes the bill. Nothing is rounded up: on a real bill each metric is, once a month.
func (p Prices) Of(u meter.Usage) Bill {
	b := Bill{PricesOf: p.Date, Region: p.Region, Lines: []Line{}, Functions: p.functions(u)}
	for _, price := range p.Prices {
		for resource, metrics := range u[price.Service] {
			if units := metrics[price.Metric]; units > 0 {
				cost := units / price.Per * price.USD
				b.Lines = append(b.Lines, Line{price.Service, resource, price.Metric, price.What, units, cost})
				b.USD += cost
			}
			if price.Metric == "messages_in" {
				b.Messages += metrics[price.Metric]
			}
		}
	}
	slices.SortFunc(b.Lines, func(x, y Line) int {
		return strings.Compare(x.Service+"\x00"+x.Resource+"\x00"+x.Metric, y.Service+"\x00"+y.Resource+"\x00"+y.Metric)
	})
	if b.Messages > 0 {
		b.PerMillion = b.USD / b.Messages * 1e6
	}
	return b
}

// functions shares out what functions have caused.
func (p Prices) functions(u meter.Usage) []Function {
	all := map[string]*Function{}
	of := func(name string) *Function {
		if all[name] == nil {
			all[name] = &Function{Name: name, Tables: map[string]float64{}}
		}
		return all[name]
	}
	for _, price := range p.Prices {
		switch price.Service {
		case "lambda":
			for name, metrics := range u["lambda"] {
				of(name).Lambda += metrics[price.Metric] / price.Per * price.USD
			}
		case "dynamodb":
			for name, metrics := range u["dynamodb_by_function"] {
				for metric, units := range metrics {
					if table, ok := strings.CutPrefix(metric, price.Metric+"."); ok && units > 0 {
						of(name).Tables[table] += units / price.Per * price.USD
					}
				}
			}
		}
	}
	functions := []Function{}
	for _, f := range all {
		f.USD = f.Lambda
		for _, table := range slices.Sorted(maps.Keys(f.Tables)) { // sums of floats depend on their order
			f.USD += f.Tables[table]
		}
		if f.USD > 0 {
			functions = append(functions, *f)
		}
	}
	slices.SortFunc(functions, func(x, y Function) int {
		return cmp.Or(cmp.Compare(y.USD, x.USD), strings.Compare(x.Name, y.Name))
	})
	return functions
}
