package dynamodb

import (
	"context"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/duet-chat/duet/localstack/caller"
)

// Prefixes of X-Amz-Target.
const (
	targetPrefix       = "DynamoDB_20120810."
	streamTargetPrefix = "DynamoDBStreams_20120810."
)

// operation on items.
type operation struct {
	check func(q *request) error // what can be said before any attribute value or table is looked at
	run   func(db *DB, q *request, dst []byte) ([]byte, error)
}

// single is an operation that writes one item.
func single(kind, name string) operation {
	return operation{
		func(q *request) error { return q.checkSingle(kind) },
		func(db *DB, q *request, dst []byte) ([]byte, error) { return db.single(kind, name, q, dst) },
	}
}

// operations on items: those that the meter counts by table.
var operations = map[string]operation{
	"GetItem":            {(*request).checkGet, (*DB).getItem},
	"PutItem":            single(put, "PutItem"),
	"UpdateItem":         single(update, "UpdateItem"),
	"DeleteItem":         single(deletion, "DeleteItem"),
	"Query":              {(*request).checkQuery, (*DB).query},
	"Scan":               {(*request).checkScan, (*DB).scan},
	"BatchGetItem":       {(*request).checkBatchGet, (*DB).batchGet},
	"BatchWriteItem":     {(*request).checkBatchWrite, (*DB).batchWrite},
	"TransactWriteItems": {(*request).checkTransactWrite, (*DB).transactWrite},
	"TransactGetItems":   {(*request).checkTransactGet, (*DB).transactGet},
}

// unsupported operations of DynamoDB are refused by name; any other name is unknown on AWS too.
const unsupported = " BatchExecuteStatement CreateBackup CreateGlobalTable DeleteBackup DeleteResourcePolicy DescribeBackup" +
	" DescribeContributorInsights DescribeExport DescribeGlobalTable DescribeGlobalTableSettings DescribeImport" +
	" DescribeKinesisStreamingDestination DescribeTableReplicaAutoScaling DisableKinesisStreamingDestination" +
	" EnableKinesisStreamingDestination ExecuteStatement ExecuteTransaction ExportTableToPointInTime GetResourcePolicy" +
	" ImportTable ListBackups ListContributorInsights ListExports ListGlobalTables ListImports " +
	" PutResourcePolicy RestoreTableFromBackup RestoreTableToPointInTime" +
	" UpdateContributorInsights UpdateGlobalTable UpdateGlobalTableSettings UpdateKinesisStreamingDestination" +
	" UpdateTableReplicaAutoScaling "

// Do runs one operation of DynamoDB's or DynamoDB Streams' JSON 1.0 protocol. target is the
// request's X-Amz-Target, as in DynamoDB_20120810.PutItem. What it takes is counted for the function
// that ctx names as the caller, too.
func (db *DB) Do(ctx context.Context, target string, body []byte) (status int, response []byte) {
	response, err := db.do(caller.Function(ctx), target, body)
	if err != nil {
		response, status = appendError(nil, err)
		return status, response
	}
	return http.StatusOK, response
}

func (db *DB) do(function, target string, body []byte) ([]byte, error) {
	if operation, ok := strings.CutPrefix(target, targetPrefix); ok {
		if op, ok := operations[operation]; ok {
			q, err, bad := parse(body)
			if err != nil {
				return nil, err
			}
			q.caller = function
			if err := op.check(q); err != nil {
				return nil, err
			}
			if bad != nil {
				return nil, bad
			}
			return op.run(db, q, make([]byte, 0, 512))
		}
		if run := adminOperations[operation]; run != nil {
			return run(db, body)
		}
		if strings.Contains(unsupported, " "+operation+" ") {
			return nil, invalid("The local DynamoDB does not support %s", operation)
		}
	}
	if operation, ok := strings.CutPrefix(target, streamTargetPrefix); ok {
		if run := streamOperations[operation]; run != nil {
			return run(db, body)
		}
	}
	return nil, refuse("UnknownOperationException", "%s", target)
}

// maxBody bounds a request: a batch or transaction is far smaller. Source: DynamoDB developer
// guide, "Service quotas", 16 MB for BatchWriteItem.
const maxBody = 17 << 20

// NoAnswer is the status of a request whose answer is lost: its caller sees the network fail.
const NoAnswer = 0

// Doer runs operations as DB.Do does: a DB, or what stands before one.
type Doer interface {
	Do(ctx context.Context, target string, body []byte) (status int, response []byte)
}

// ServeHTTP serves the protocol.
func (db *DB) ServeHTTP(w http.ResponseWriter, r *http.Request) { Serve(w, r, db) }

// Serve serves the protocol with whatever runs the operations.
func Serve(w http.ResponseWriter, r *http.Request, d Doer) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var status int
	var response []byte
	if err != nil {
		response, status = appendError(nil, invalid("The request could not be read: %v", err))
	} else {
		status, response = d.Do(r.Context(), r.Header.Get("X-Amz-Target"), body)
	}
	if status == NoAnswer {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-amz-json-1.0")
	h.Set("X-Amzn-RequestId", newID())
	h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(response)), 10))
	h.Set("Content-Length", strconv.Itoa(len(response)))
	w.WriteHeader(status)
	_, _ = w.Write(response) // the client is gone if this fails
}
