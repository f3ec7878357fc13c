package dynamodb

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// settings are what can be changed on a table.
type settings struct {
	TTL                 string // the attribute; "" for none
	BillingMode         string
	Throughput          Throughput // zero when paid by request
	DeletionProtection  bool
	Tags                map[string]string `json:",omitempty"` // never changed in place
	PointInTimeRecovery bool              // kept and shown; there are no backups
}

// newSettings are those that a table is made with.
func newSettings(spec TableSpec) settings {
	s := settings{TTL: spec.TimeToLiveAttribute, BillingMode: spec.BillingMode}
	if spec.ProvisionedThroughput != nil {
		s.Throughput = *spec.ProvisionedThroughput
	}
	return s
}

// setting returns a table's settings as they are now.
func (t *table) setting() settings {
	t.settingsMu.RLock()
	defer t.settingsMu.RUnlock()
	return t.settings
}

// change changes a table's settings, unless edit refuses.
func (db *DB) change(t *table, edit func(*settings) error) error {
	db.tablesMu.RLock()
	defer db.tablesMu.RUnlock()
	if db.tables[t.Spec.TableName] != t {
		return tableNotFound(t.Spec.TableName)
	}
	t.settingsMu.Lock()
	defer t.settingsMu.Unlock()
	s := t.settings
	if err := edit(&s); err != nil {
		return err
	}
	if reflect.DeepEqual(s, t.settings) {
		return nil
	}
	if err := db.save(t, s); err != nil {
		return err
	}
	t.settings = s
	return nil
}

// checkBilling checks that a billing mode and a throughput fit together.
func checkBilling(mode string, p *Throughput) error {
	if err := checkEnum("billingMode", mode, "PROVISIONED", "PAY_PER_REQUEST"); err != nil {
		return err
	}
	switch {
	case mode == "PAY_PER_REQUEST" && p != nil:
		return invalid("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case mode != "PAY_PER_REQUEST" && p == nil:
		return invalid("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	case p != nil && (p.ReadCapacityUnits < 1 || p.WriteCapacityUnits < 1):
		return invalid("One or more parameter values were invalid: Both ReadCapacityUnits and WriteCapacityUnits must be at least 1")
	}
	return nil
}

// checkIndexBilling checks that a global index has a throughput of its own where its table has one, and none where it is
// paid by request.
func checkIndexBilling(mode string, ix IndexSpec) error {
	p := ix.ProvisionedThroughput
	switch {
	case mode == "PAY_PER_REQUEST" && p != nil:
		return invalid("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: %s when BillingMode is PAY_PER_REQUEST", ix.IndexName)
	case mode != "PAY_PER_REQUEST" && p == nil:
		return invalid("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified for index: %s when BillingMode is PROVISIONED", ix.IndexName)
	case p != nil && (p.ReadCapacityUnits < 1 || p.WriteCapacityUnits < 1):
		return invalid("One or more parameter values were invalid: Both ReadCapacityUnits and WriteCapacityUnits must be at least 1 for index: %s", ix.IndexName)
	}
	return nil
}

// updateTable does UpdateTable, as far as it is about settings. What would change keys, indexes or the
// stream of a table is refused by name.
func (db *DB) updateTable(body []byte) ([]byte, error) {
	var in struct {
		BillingMode               string
		ProvisionedThroughput     *Throughput
		DeletionProtectionEnabled *bool
	}
	var given map[string]json.RawMessage
	t, err := db.named(body)
	if err != nil {
		return nil, err
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	if err := decode(body, &given); err != nil {
		return nil, err
	}
	supported := []string{"TableName", "BillingMode", "ProvisionedThroughput", "DeletionProtectionEnabled"}
	for _, name := range sortedKeys(given) {
		if !slices.Contains(supported, name) {
			return nil, invalid("The local DynamoDB does not support %s in UpdateTable: delete the table and create it anew", name)
		}
	}
	if in.BillingMode == "" && in.ProvisionedThroughput == nil && in.DeletionProtectionEnabled == nil {
		return nil, invalid("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required")
	}
	err = db.change(t, func(s *settings) error {
		if in.BillingMode != "" || in.ProvisionedThroughput != nil {
			mode := in.BillingMode
			if mode == "" {
				mode = s.BillingMode
			}
			if err := checkBilling(mode, in.ProvisionedThroughput); err != nil {
				return err
			}
			s.BillingMode, s.Throughput = mode, Throughput{}
			if in.ProvisionedThroughput != nil {
				s.Throughput = *in.ProvisionedThroughput
			}
		}
		if in.DeletionProtectionEnabled != nil {
			s.DeletionProtection = *in.DeletionProtectionEnabled
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"TableDescription": db.describe(t, "ACTIVE")})
}

func (db *DB) updateTTL(body []byte) ([]byte, error) {
	t, err := db.named(body)
	if err != nil {
		return nil, err
	}
	var in struct {
		TimeToLiveSpecification *struct {
			Enabled       *bool
			AttributeName *string
		}
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	spec := in.TimeToLiveSpecification
	if spec == nil {
		return nil, missing("timeToLiveSpecification")
	}
	var v violations
	const attribute = "timeToLiveSpecification.attributeName"
	switch {
	case spec.AttributeName == nil:
		v.missing(attribute)
	case *spec.AttributeName == "":
		v.add("''", attribute, "Member must have length greater than or equal to 1")
	case len(*spec.AttributeName) > maxName:
		v.add("'"+*spec.AttributeName+"'", attribute, fmt.Sprintf("Member must have length less than or equal to %d", maxName))
	}
	if spec.Enabled == nil {
		v.missing("timeToLiveSpecification.enabled")
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	err = db.change(t, func(s *settings) error {
		switch {
		case s.TTL != "" && s.TTL != *spec.AttributeName:
			return invalid("TimeToLive is active on a different AttributeName: current AttributeName is %s", s.TTL)
		case *spec.Enabled && s.TTL != "":
			return invalid("TimeToLive is already enabled")
		case !*spec.Enabled && s.TTL == "":
			return invalid("TimeToLive is already disabled")
		}
		s.TTL = ""
		if *spec.Enabled {
			s.TTL = *spec.AttributeName
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"TimeToLiveSpecification": spec})
}

func (db *DB) describeTTL(body []byte) ([]byte, error) {
	t, err := db.named(body)
	if err != nil {
		return nil, err
	}
	d := map[string]any{"TimeToLiveStatus": "DISABLED"}
	if attribute := t.setting().TTL; attribute != "" {
		d = map[string]any{"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}
	}
	return json.Marshal(map[string]any{"TimeToLiveDescription": d})
}

// forBackups finds the table of an operation on backups: these have an error of their own.
func (db *DB) forBackups(body []byte) (*table, error) {
	name, err := nameIn(body)
	if err != nil {
		return nil, err
	}
	t, err := db.table(name)
	if err != nil {
		return nil, refuse("TableNotFoundException", "Table not found: %s", name)
	}
	return t, nil
}

func (db *DB) describeBackups(body []byte) ([]byte, error) {
	t, err := db.forBackups(body)
	if err != nil {
		return nil, err
	}
	return backups(t)
}

// updateBackups switches point-in-time recovery. It is a setting only: nothing can be restored here.
func (db *DB) updateBackups(body []byte) ([]byte, error) {
	t, err := db.forBackups(body)
	if err != nil {
		return nil, err
	}
	var in struct {
		PointInTimeRecoverySpecification *struct{ PointInTimeRecoveryEnabled bool }
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	if in.PointInTimeRecoverySpecification == nil {
		return nil, missing("pointInTimeRecoverySpecification")
	}
	err = db.change(t, func(s *settings) error {
		s.PointInTimeRecovery = in.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled
		return nil
	})
	if err != nil {
		return nil, err
	}
	return backups(t)
}

// backups is a ContinuousBackupsDescription, without times to restore to: there are none.
func backups(t *table) ([]byte, error) {
	status := "DISABLED"
	if t.setting().PointInTimeRecovery {
		status = "ENABLED"
	}
	return json.Marshal(map[string]any{"ContinuousBackupsDescription": map[string]any{
		"ContinuousBackupsStatus":        "ENABLED", // as on AWS since every table has them
		"PointInTimeRecoveryDescription": map[string]any{"PointInTimeRecoveryStatus": status},
	}})
}
