// Package bill turns what the local cloud has metered into what AWS would charge for it.
package bill

import (
	_ "embed"
	"fmt"
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

// Bill is what a stretch of usage costs.
type Bill struct {
	PricesOf string  `json:"prices_of"` // date of the price list
	Region   string  `json:"region"`
	Lines    []Line  `json:"lines"`
	USD      float64 `json:"usd"`
	// Messages is how many frames clients sent, heartbeats and all; PerMillion is the price of a
	// million of them, 0 without any.
	Messages   float64 `json:"messages"`
	PerMillion float64 `json:"usd_per_million_messages"`
}

// Of makes the bill. Nothing is rounded up: on a real bill each metric is, once a month.
func (p Prices) Of(u meter.Usage) Bill {
	b := Bill{PricesOf: p.Date, Region: p.Region, Lines: []Line{}}
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
