package differential

// Parts of the texts of AWS's front end.
const (
	one     = `1 validation error detected: Value `
	several = `\d validation errors? detected: Value `
	notNull = ` failed to satisfy constraint: Member must not be null`
)

// refusals are the texts about malformed requests. DynamoDB Local does not have the service's front end,
// which checks a request against the API's model before the service sees it, and has texts of its own.
var refusals = []wording{
	{`Invalid table/index name\..*`, several + `.* at '[^']*(?:tableName|indexName)' .*`, apiModel, false},
	{`Invalid table/index name\..*`, several + `.* at 'requestItems' failed to satisfy constraint: Map keys must .*`, apiModel, false},
	{`Return values set to invalid value`, one + `'.*' at 'returnValues' .*|ReturnValues can only be ALL_OLD or NONE`, apiModel, false},
	{`BatchGetItem must have some requests set|BatchWriteItem cannot have a null or no requests set`, one + `null at 'requestItems'` + notNull, apiModel, false},
	{`(?:ExpressionAttributeValues contains invalid value: )?A value provided cannot be converted into a number(?: for key .*)?`,
		`(?:ExpressionAttributeValues contains invalid value: )?The parameter cannot be converted to a numeric value.*`, dynalite, false},
	{`The batch write request list for a table cannot be null or empty.*`, several + `'.*' at 'requestItems' .*|Supplied AttributeValue has more than one datatypes set, .*`, dynalite, false},
	{`Cannot have null key for GetItem, DeleteItem, or UpdateItem`, one + `null at 'key'` + notNull, apiModel, false},
	{`Item to put in PutItem cannot be null`, one + `null at 'item'` + notNull, apiModel, false},
	{`(ExpressionAttributeNames contains invalid value): Cannot invoke .*`, `(ExpressionAttributeNames contains invalid value): Empty attribute name for key .*`, "a Java exception", false},
	{`(Value null at '[^']*'` + notNull + `)`, `1 validation error detected: (Value null at '[^']*'` + notNull + `)`, apiModel, false},
	{`Value null at 'transactItems'` + notNull, several + `.* at 'transactItems.*`, apiModel, false},
	{`Requested resource not found`, several + `null at 'transactItems.*`, apiModel, true},
	{`The list of keys in RequestItems for BatchGetItem is required: .*`, one + `.* at 'requestItems\..*\.member\.keys' .*`, apiModel, false},
	{`The supplied Item contains a null AttributeValue.*`, `Supplied AttributeValue is empty, must contain exactly one of the supported datatypes`, dynalite, false},
	{`The number of conditions on the keys is invalid`, `The provided key element does not match the schema`, dynalite, false},
	{`One of the required keys was not given a value`, `The provided key element does not match the schema|One or more parameter values were invalid: Missing the key \w+ in the item`, dynalite, false},
	{`Cannot have null key for GetItem, DeleteItem, or UpdateItem`, several + `.* at 'returnConsumedCapacity' .*`, apiModel, false},
	{`Select must be ALL_ATTRIBUTES, .*`, several + `.* at 'select' .*`, apiModel, false},
	{`The table does not have the specified index: .{0,2}|The table does not have the specified index: .{256,}|The table does not have the specified index: .*[! ].*`, several + `.* at 'indexName' .*`, apiModel, false},
	{`If segment is specified, total segment must also be specified`, `The TotalSegments parameter is required but was not present in the request when Segment parameter is present`, dynalite, false},
	{`If total segments is specified, .*|.* at 'segment' .*`, `The Segment parameter is .*|.* at 'totalSegments' .*`, dynalite, false},
	{`Value provided in ExpressionAttributeValues unused in expressions: .*`, `Either the KeyConditions or KeyConditionExpression parameter must be specified in the request\.`, dynalite, false},
	{`ExpressionAttributeValues contains invalid value: The supplied Item contains a null AttributeValue (for key .*)`,
		`ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes (for key .*)`, dynalite, false},
	{`The supplied Item contains a null AttributeValue`, one + `null at 'requestItems\..*`, apiModel, false},
	{`Value \[\] at ('transactItems' .*)`, one + `'\[\]' at ('transactItems' .*)`, apiModel, false},
	{`Exclusive Start Key must have same size as table's key schema`, `The provided starting key is invalid.*`, dynalite, false},
	{`Limit must be greater than or equal to 1`, several + `.* at 'limit' .*`, apiModel, false},
	{`(?:One or more parameter values were invalid: )?Input collection (.*) contains duplicates\.?`, `(?:One or more parameter values were invalid: )?Input collection (.*) contains duplicates\.?`, dynalite, false},
	{`Hash primary key values must be under 2048 bytes, and range primary key values must be under 1024 bytes`, `One or more parameter values were invalid: Size of (?:hash|range)key has exceeded the maximum size limit of\d+ bytes`, dynalite, false},
	{`The list of keys in RequestItems for BatchGetItem may not contain null or empty values: .*`, `The provided key element does not match the schema`, dynalite, false},
	{`The provided starting key does not match the range key predicate`, `The provided starting key is outside query boundaries based on provided conditions`, "wrong in both; DynamoDB Local looks at the sort key first", false},
	{`Type mismatch for attribute to update|.*The provided starting key is invalid: .*`, `The provided starting key is (?:invalid: |outside query boundaries ).*`, dynalite, false},
	{`One or more parameter values were invalid: Type mismatch for key`, `The provided key element does not match the schema|One or more parameter values were invalid: Type mismatch for key \w+ expected: [SNB] actual: \w+`, dynalite, false},
	{`ExpressionAttribute\w+ can only be specified when using expressions.*`, several + `null at '\S*Expression'.*`, apiModel, false},
	{`The supplied Item contains a null AttributeValue.*|A value provided cannot be converted into a number`, `One or more parameter values were invalid: An string set may not have a null string as a member`, dynalite, false},
	{`Get Condition for key not in key list`, several + `null at 'transactItems\..*\.get\.key'.*`, apiModel, false},
	{`.* at ('segment') failed to satisfy constraint: .*`, one + `'-\d+' at ('segment') failed to satisfy constraint: Member must have value greater than or equal to 0`, apiModel, false},
	{`One or more parameter values were invalid: Type mismatch for key|The number of conditions on the keys is invalid|One of the required keys was not given a value`, `Transaction cancelled, .*ValidationError.*`, "DynamoDB API reference, TransactionCanceledException", true},
	{`Cannot do operations on a non-existent table`, several + `.* at 'transactItems\..*\.tableName' .*`, apiModel, true},
	{`Cannot do operations on a non-existent table`, `Requested resource not found`, dynalite, false},
}
