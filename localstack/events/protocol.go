package events

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// TargetPrefix begins the X-Amz-Target of EventBridge's operations.
const TargetPrefix = "AWSEvents."

// Limits of PutEvents. Source: EventBridge API reference, PutEvents; user guide, "Event size".
const (
	maxEntries = 10
	maxBytes   = 256 << 10 // of all entries
	maxBody    = 6*maxBytes + 64<<10
)

// entry is one of PutEvents.
type entry struct {
	Source, DetailType, Detail, EventBusName string
	Time                                     *float64 // Unix seconds
	Resources                                []string
}

// size is what an entry counts. Source: EventBridge user guide, "Calculating PutEvents event entry size".
func (e entry) size() int {
	n := len(e.Source) + len(e.DetailType) + len(e.Detail)
	if e.Time != nil {
		n += 14
	}
	for _, r := range e.Resources {
		n += len(r)
	}
	return n
}

// result is of one entry: an id, or an error.
type result struct {
	EventID      string `json:"EventId,omitempty"`
	ErrorCode    string `json:",omitempty"`
	ErrorMessage string `json:",omitempty"`
}

// ServeHTTP serves the JSON 1.1 protocol: PutEvents, the one operation that programs need. Buses and
// rules are made by the template.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), TargetPrefix)
	if operation != "PutEvents" {
		refuse(w, "UnknownOperationException", fmt.Sprintf("the local EventBridge does not know %s: it takes PutEvents; buses and rules are made by the template", operation))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, "ValidationException", fmt.Sprintf("the request could not be read: %v", err))
		return
	}
	var in struct{ Entries []entry }
	if err := json.Unmarshal(body, &in); err != nil {
		refuse(w, "SerializationException", fmt.Sprintf("the request is not what PutEvents takes: %v", err))
		return
	}
	results, problem := s.put(r.Context(), in.Entries)
	if problem != "" {
		refuse(w, "ValidationException", problem)
		return
	}
	failed := 0
	for _, one := range results {
		if one.ErrorCode != "" {
			failed++
		}
	}
	answer(w, http.StatusOK, map[string]any{"FailedEntryCount": failed, "Entries": results})
}

// put puts events on their buses, or says why none of them can be.
func (s *Service) put(ctx context.Context, entries []entry) (results []result, problem string) {
	switch n := len(entries); {
	case n == 0:
		return nil, "1 validation error detected: Value '[]' at 'entries' failed to satisfy constraint: Member must have length greater than or equal to 1"
	case n > maxEntries:
		return nil, fmt.Sprintf("1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length less than or equal to %d", maxEntries)
	}
	size := 0
	for _, e := range entries {
		size += e.size()
	}
	if size > maxBytes {
		return nil, "Total size of the entries in the request is over the limit."
	}
	for _, e := range entries {
		one := s.check(e)
		if one.ErrorCode == "" {
			id, err := s.publish(ctx, BusName(e.EventBusName), e)
			if one.EventID = id; err != nil {
				one = result{ErrorCode: "InternalFailure", ErrorMessage: err.Error()}
			}
		}
		results = append(results, one)
	}
	return results, ""
}

// check says what is wrong with an entry. AWS tells nothing of a bus that is not there; here it is named,
// since the event would be lost without a word.
func (s *Service) check(e entry) result {
	for _, f := range []struct{ name, value string }{{"Source", e.Source}, {"DetailType", e.DetailType}, {"Detail", e.Detail}} {
		if f.value == "" {
			return result{ErrorCode: "InvalidArgument", ErrorMessage: fmt.Sprintf("Parameter %s is not valid. Reason: %s is a required argument.", f.name, f.name)}
		}
	}
	if bus := BusName(e.EventBusName); !s.buses[bus] {
		return result{ErrorCode: "ResourceNotFoundException", ErrorMessage: fmt.Sprintf("Event bus %s does not exist: the template has no AWS::Events::EventBus of this name.", bus)}
	}
	var detail map[string]json.RawMessage
	if json.Unmarshal([]byte(e.Detail), &detail) != nil || detail == nil {
		return result{ErrorCode: "MalformedDetail", ErrorMessage: "Detail is malformed."}
	}
	return result{}
}

func refuse(w http.ResponseWriter, kind, message string) {
	w.Header().Set("X-Amzn-ErrorType", kind)
	answer(w, http.StatusBadRequest, map[string]string{"__type": kind, "message": message})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
}
