package attr_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

func nested(levels int) string {
	return strings.Repeat(`{"L":[`, levels-1) + `{"S":"x"}` + strings.Repeat(`]}`, levels-1)
}

func TestDecodeValueReturnsWhatAWSReturns(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`{"S":""}`, `{"S":""}`},
		{` { "S" : "a\u00e9\n\"\\\/" } `, `{"S":"aé\n\"\\/"}`},
		{`{"S":"\ud83d\ude00"}`, `{"S":"😀"}`},
		{`{"S":"\ud800x"}`, `{"S":"�x"}`},
		{`{"S":"\u0001\u007f"}`, "{\"S\":\"\\u0001\u007f\"}"},
		{`{"N":"1"}`, `{"N":"1"}`},
		{`{"N":"1.50"}`, `{"N":"1.5"}`},
		{`{"N":"-0"}`, `{"N":"0"}`},
		{`{"N":"007"}`, `{"N":"7"}`},
		{`{"N":"1e3"}`, `{"N":"1000"}`},
		{`{"N":"1."}`, `{"N":"1"}`},
		{`{"N":".5"}`, `{"N":"0.5"}`},
		{`{"N":"+5"}`, `{"N":"5"}`},
		{`{"N":"0E500"}`, `{"N":"0"}`},
		{`{"N":"1E+125"}`, `{"N":"1` + strings.Repeat("0", 125) + `"}`},
		{`{"N":"-1E-130"}`, `{"N":"-0.` + strings.Repeat("0", 129) + `1"}`},
		{`{"N":"123456789012345678901234567890123456780"}`, `{"N":"123456789012345678901234567890123456780"}`},
		{`{"B":"YQ=="}`, `{"B":"YQ=="}`},
		{`{"B":""}`, `{"B":""}`},
		{`{"BOOL":true}`, `{"BOOL":true}`},
		{`{"BOOL":"no"}`, `{"BOOL":false}`},
		{`{"NULL":true}`, `{"NULL":true}`},
		{`{"SS":["b","a",""]}`, `{"SS":["","a","b"]}`},
		{`{"NS":["10","9","-1.0"]}`, `{"NS":["-1","9","10"]}`},
		{`{"BS":["Yg==","YQ=="]}`, `{"BS":["YQ==","Yg=="]}`},
		{`{"L":[]}`, `{"L":[]}`},
		{`{"L":[{"S":"a"},{"M":{"b":{"N":"2"},"a":{"NULL":true}}}]}`, `{"L":[{"S":"a"},{"M":{"a":{"NULL":true},"b":{"N":"2"}}}]}`},
		{`{"M":{}}`, `{"M":{}}`},
		{`{"S":"a","N":null,"other":[1,{"x":false}]}`, `{"S":"a"}`},
		{nested(attr.MaxNesting), nested(attr.MaxNesting)},
	} {
		v, err := attr.DecodeValue([]byte(tc.in))
		if err != nil {
			t.Errorf("DecodeValue(%s): %v", tc.in, err)
			continue
		}
		if got := string(v.AppendJSON(nil)); got != tc.want {
			t.Errorf("DecodeValue(%s) = %s, want %s", tc.in, got, tc.want)
		}
	}
}

func TestDecodeValueRefusesWithTheWordsOfAWS(t *testing.T) {
	const (
		invalid  = attr.ValidationException
		serial   = attr.SerializationException
		empty    = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
		digits38 = "Attempting to store more than 38 significant digits in a Number"
		over     = "Number overflow. Attempting to store a number with magnitude larger than supported range"
		under    = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
		nan      = "The parameter cannot be converted to a numeric value"
		param    = "One or more parameter values were invalid: "
		mapType  = "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>"
		nesting  = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
	)
	for _, tc := range []struct{ in, typ, message string }{
		{`{}`, invalid, empty},
		{`null`, invalid, empty},
		{`{"S":null}`, invalid, empty},
		{`{"X":"1"}`, invalid, empty},
		{`{"L":[{}]}`, invalid, empty},
		{`{"M":{"a":{}}}`, invalid, empty},
		{`{"S":"a","N":"1"}`, invalid, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"},
		{`{"M":{"":{"S":"x"}}}`, invalid, "Empty attribute name"},
		{`{"NULL":false}`, invalid, param + "Null attribute value types must have the value of true"},
		{`{"SS":[]}`, invalid, param + "An string set  may not be empty"},
		{`{"NS":[]}`, invalid, param + "An number set  may not be empty"},
		{`{"BS":[]}`, invalid, param + "Binary sets should not be empty"},
		{`{"SS":["b","a","b"]}`, invalid, param + "Input collection [b, a, b] contains duplicates."},
		{`{"NS":["1","1.0"]}`, invalid, "Input collection contains duplicates"},
		{`{"BS":["YQ==","YQ=="]}`, invalid, param + "Input collection [YQ==, YQ==]of type BS contains duplicates."},
		{`{"SS":[null]}`, invalid, param + "An string set may not have a null string as a member"},
		{`{"N":""}`, invalid, nan},
		{`{"N":"abc"}`, invalid, nan + ": abc"},
		{`{"N":" 1"}`, invalid, nan + ":  1"},
		{`{"N":"0x10"}`, invalid, nan + ": 0x10"},
		{`{"N":"1e"}`, invalid, nan + ": 1e"},
		{`{"N":"1e+-1"}`, invalid, nan + ": 1e+-1"},
		{`{"N":"."}`, invalid, nan + ": ."},
		{`{"N":"NaN"}`, invalid, nan + ": NaN"},
		{`{"NS":["x"]}`, invalid, nan + ": x"},
		{`{"N":"1E126"}`, invalid, over},
		{`{"N":"-1E126"}`, invalid, over},
		{`{"N":"1e99999999999"}`, invalid, over},
		{`{"N":"1E-131"}`, invalid, under},
		{`{"N":"1e-99999999999"}`, invalid, under},
		{`{"N":"123456789012345678901234567890123456789"}`, invalid, digits38},
		{nested(attr.MaxNesting + 1), invalid, nesting},
		{`{"S":1}`, serial, "NUMBER_VALUE cannot be converted to String"},
		{`{"N":1.5}`, serial, "DECIMAL_VALUE cannot be converted to String"},
		{`{"S":true}`, serial, "TRUE_VALUE cannot be converted to String"},
		{`{"S":false}`, serial, "FALSE_VALUE cannot be converted to String"},
		{`{"S":{}}`, serial, "Start of structure or map found where not expected"},
		{`{"S":[]}`, serial, "Unrecognized collection type class java.lang.String"},
		{`{"BOOL":"maybe"}`, serial, "Unexpected token received from parser"},
		{`{"BOOL":1}`, serial, "NUMBER_VALUE cannot be converted to Boolean"},
		{`{"B":1}`, serial, "only base-64-encoded strings are convertible to bytes"},
		{`{"B":[]}`, serial, "Unrecognized collection type class java.nio.ByteBuffer"},
		{`{"B":"23456"}`, serial, "Base64 encoded length is expected a multiple of 4 bytes but found: 5"},
		{`{"B":"=+/="}`, serial, "Invalid last non-pad Base64 character dectected"},
		{`{"B":"YR=="}`, serial, "Invalid last non-pad Base64 character dectected"},
		{`{"SS":"a"}`, serial, "Unexpected field type"},
		{`{"SS":{"a":1}}`, serial, "Start of structure or map found where not expected"},
		{`{"SS":[1]}`, serial, "NUMBER_VALUE cannot be converted to String"},
		{`{"L":{}}`, serial, "Start of structure or map found where not expected"},
		{`{"M":[]}`, serial, mapType},
		{`{"M":"x"}`, serial, "Unexpected field type"},
		{`"abc"`, serial, "Unexpected value type in payload"},
		{`[]`, serial, "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue"},
		{`{"N":"x","S":1}`, serial, "NUMBER_VALUE cannot be converted to String"},
		{``, serial, ""},
		{`{`, serial, ""},
		{`{"S"`, serial, ""},
		{`{"S":"a"`, serial, ""},
		{`{"S":"a",}`, serial, ""},
		{`{"S":"a" "N"}`, serial, ""},
		{`{"S":"a"} x`, serial, ""},
		{"{\"S\":\"a\nb\"}", serial, ""},
		{`{"S":"\x"}`, serial, ""},
		{`{"S":"\u12"}`, serial, ""},
		{"{\"S\":\"\xff\"}", serial, ""},
		{`{"X":01}`, serial, ""},
		{`{"X":` + strings.Repeat("[", 100_000), serial, ""},
	} {
		_, err := attr.DecodeValue([]byte(tc.in))
		var e *attr.Error
		if !errors.As(err, &e) || e.Type != tc.typ || e.Message != tc.message {
			t.Errorf("DecodeValue(%.80s) = %v, want %s: %s", tc.in, err, tc.typ, tc.message)
		}
	}
}

func TestReaderReadsARequestAndNullsAsAbsent(t *testing.T) {
	r := attr.NewReader([]byte(`{"TableName":"t","Limit":7.9,"Descending":false,"Key":{"a":{"S":"x"}},
		"Names":["p","q"],"Null":null,"NullItem":null,"Skipped":{"a":[1,-2.5e3,"s",null,true]}}`))
	var table string
	var limit int64
	var names []string
	var key, none attr.Item
	r.Object(func(name string) {
		switch name {
		case "TableName":
			table = r.String()
		case "Limit":
			limit = r.Int()
		case "Descending":
			r.Bool()
		case "Key":
			key = r.Item()
		case "Names":
			r.Array(func() { names = append(names, r.String()) })
		case "Null":
			if got := r.String(); got != "" {
				t.Errorf("String of null = %q, want empty", got)
			}
		case "NullItem":
			none = r.Item()
		default:
			r.Skip()
		}
	})
	r.End()
	if err := errors.Join(r.Err(), r.Invalid()); err != nil {
		t.Fatal(err)
	}
	if table != "t" || limit != 7 || key["a"].Text() != "x" || strings.Join(names, "") != "pq" || none != nil {
		t.Errorf("read %q %d %v %v %v", table, limit, key, names, none)
	}
}

func FuzzDecodeItem(f *testing.F) {
	f.Add([]byte(`{"a":{"S":"x"},"b":{"N":"1.5"},"c":{"L":[{"M":{"d":{"NS":["1","2"]}}}]}}`))
	f.Add([]byte(`{"a":{"B":"YQ=="},"b":{"BS":["YQ=="]},"c":{"BOOL":true},"d":{"NULL":true}}`))
	f.Add([]byte(`{"\ud83d\ude00":{"S":"\u0000\n"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		it, err := attr.DecodeItem(data)
		if err != nil {
			return
		}
		text := it.AppendJSON(nil)
		again, err := attr.DecodeItem(text)
		if it != nil && (err != nil || !attr.EqualItems(it, again)) {
			t.Fatalf("DecodeItem(%s) → %s, which decodes to %v, %v", data, text, again, err)
		}
	})
}
